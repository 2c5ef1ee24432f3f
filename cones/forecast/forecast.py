"""The forecast of a run: one line per model and arm, the files to fetch, and the sums."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from cones.experiment.cell import RESULTS, Cell, Plan
from cones.experiment.classification_cells import method_of, targets_of
from cones.experiment.pipeline import Pipeline
from cones.forecast.classified import ClassifiedCells
from cones.forecast.memory import Memory, memory_inside
from cones.forecast.rates import Rates, read_records
from cones.forecast.storage import Source, checkpoint_sources, dataset_sources, pretrained_sources
from cones.forecast.subjects import Drawn, Subjects, read_subject_records
from cones.forecast.targets import cells_of, classified_of, is_done, jobs, parts_of, subjects_of
from cones.forecast.work import Pictures, Share, bytes_left, pictures, work


@dataclass
class Line:
    """The cells of one model and arm. Ranges are (least, most) over the epochs or steps that tuning may take.

    cells, done  how many there are, and how many of them are finished and cost nothing more
    unknown      cells whose dataset or model nothing is known about; they are in no sum
    steps, seconds, bytes  of the cells that remain; bytes of all of them, for they share a disk
    device, basis  see `Rate`
    """

    model: str
    arm: str
    cells: int = 0
    done: int = 0
    unknown: int = 0
    steps: tuple[int, int] = (0, 0)
    seconds: tuple[float, float] = (0.0, 0.0)
    bytes: int = 0
    devices: dict[str, str] = field(default_factory=dict)  # device -> basis


@dataclass
class Forecast:
    """The forecast of a run.

    jobs           counted from nothing, {rule: jobs}
    seconds        of the remaining cells, by device
    memory         of the classification models that methods train inside
    gpus           GPUs that share the seconds of a GPU, in jobs of one each
    parts          the grids, and "generation", behind the targets
    subjects       what remains to be learnt and drawn; None where no target needs a subject's cell
    cannot_draw    arms of generation that are rows of its table and no work
    feature_bytes  the most that shared image features may take
    shared_bytes   what the cells of all subjects read
    """

    suite: str
    parts: list[str]
    lines: list[Line]
    jobs: dict[str, int]
    sources: list[Source]
    feature_bytes: int
    shared_bytes: int
    subjects: Drawn | None
    cannot_draw: list[str]
    seconds: dict[str, tuple[float, float]]
    gpus: int = 1
    memory: list[Memory] = field(default_factory=list)

    @property
    def cells(self) -> int:
        return sum(line.cells for line in self.lines)

    @property
    def done(self) -> int:
        return sum(line.done for line in self.lines)

    @property
    def download_bytes(self) -> int:
        return sum(source.bytes for source in self.sources if source.is_downloaded)

    @property
    def by_hand(self) -> list[Source]:
        """The files that are neither here nor downloaded or drawn by the workflow."""
        return [s for s in self.sources if not (s.is_here or s.is_downloaded or s.state == "to draw")]

    @property
    def data_bytes(self) -> int:
        """Bytes of archives and checkpoints, and the same again unpacked: pictures and weights do not compress."""
        return sum(source.bytes * (1 if source.kind == "pretrained" else 2) for source in self.sources)

    @property
    def result_bytes(self) -> int:
        return sum(line.bytes for line in self.lines) + self.shared_bytes


def forecast(
    plan: Plan,
    targets: Sequence[str] = (),
    *,
    datasets: Sequence[str] = (),
    tflops: float,
    epochs: int | None = None,
    gpus: int = 1,
    from_scratch: bool = False,
) -> Forecast:
    """Forecast the cost of the targets (default: everything the suite makes), of all their datasets or of some.

    tflops        sustained speed of a GPU where operations were counted and nothing was measured
    epochs        assumed of every tuned cell of a grid instead of the range that early stop allows; records go before
    from_scratch  finished cells cost what the others do
    """
    parts = parts_of(plan, targets)
    cells, drawn = cells_of(plan, parts, datasets), subjects_of(plan, parts, datasets)
    generation = plan.suite.generation if drawn else None
    classified = classified_of(plan, parts, datasets)
    needed = [cell.dataset for cell in cells] + ([generation.dataset] if generation else [])
    needed += [dataset for cell in classified for dataset in targets_of(plan, cell)]
    seen = {name: pictures(plan, name) for name in dict.fromkeys(needed)}
    models = dict.fromkeys(cell.model for cell in (*cells, *classified))
    rates = Rates(read_records(RESULTS, models), tflops=tflops)
    subjects = _subjects(plan, rates) if generation else None
    timed = ClassifiedCells(RESULTS, {cell.model for cell in classified})
    pipeline = Pipeline(plan)
    lines: dict[tuple[str, str], Line] = {}
    by_device: dict[str, tuple[float, float]] = {}
    remain = Drawn()
    for cell, its_jobs in {**cells, **drawn, **classified}.items():
        line = lines.setdefault((cell.model, cell.arm), Line(cell.model, cell.arm))
        done = is_done(pipeline, cell, its_jobs) and not from_scratch
        line.cells, line.done = line.cells + 1, line.done + done
        if cell in drawn:
            share = subjects.share(cell, len(its_jobs))
        elif cell in classified:
            share = timed.share(plan, cell)
        else:
            share = _share(plan, cell, seen[cell.dataset], rates, epochs, its_jobs)
        _add(share, line, by_device, done)
        if cell in drawn and not done:
            remain = remain.with_cell(generation.settings(cell.arm), share.work)
    parameters = {model: known["parameters"] for model in models if (known := rates.known(model))}
    sources = [*dataset_sources(plan, seen), *checkpoint_sources(plan, models, parameters)]
    order = [*models, *([generation.model] if generation else [])]
    return Forecast(
        suite=plan.suite.suite,
        parts=parts,
        lines=sorted(lines.values(), key=lambda line: order.index(line.model)),
        jobs=jobs(pipeline, {**cells, **drawn, **classified}),
        sources=[*sources, *(pretrained_sources(generation) if generation else [])],
        feature_bytes=int(plan.suite.feature_cache_gb * 1e9) if cells else 0,
        shared_bytes=subjects.shared_bytes(seen[generation.dataset]) if generation else 0,
        subjects=remain if generation else None,
        cannot_draw=[arm for arm in generation.arms if arm not in generation.drawing_arms] if generation else [],
        seconds=by_device,
        gpus=gpus,
        memory=memory_inside(
            cell.model for cell in classified if method_of(plan, cell.arm).classifier_has_own_features
        ),
    )


def _subjects(plan: Plan, rates: Rates) -> Subjects:
    model = plan.suite.generation.model
    known = rates.reference["generators"].get(model)
    return Subjects(plan, read_subject_records(RESULTS, model), known, tflops=rates.tflops)


def _share(
    plan: Plan, cell: Cell, seen: Pictures | None, rates: Rates, epochs: int | None, its_jobs: set[str]
) -> Share | None:
    """The share of a grid's cell; None where its dataset or model is unknown."""
    settings, known = plan.settings(cell), rates.known(cell.model)
    rate = rates.of(cell.model, cell.dataset, settings)
    if seen is None or known is None or rate is None:
        return None
    is_scored = "evaluate" in its_jobs
    others = [pictures(plan, name) for name in plan.scored_elsewhere(cell)] if "elsewhere" in its_jobs else []
    elsewhere = sum(other.test for other in others if other is not None)
    own = work(settings, seen, rate, epochs, is_scored=is_scored)
    return Share(
        work=replace(own, images=tuple(images + elsewhere for images in own.images)),
        rate=rate,
        job_seconds=len(its_jobs) * known["job_seconds"],
        bytes=bytes_left(plan, cell, settings, seen, known, is_scored=is_scored),
    )


def _add(share: Share | None, line: Line, by_device: dict[str, tuple[float, float]], done: bool) -> None:
    """Add the share of one cell to its line and to the seconds of its device."""
    if share is None:
        line.unknown += 1
        return
    line.bytes += share.bytes
    if done:
        return
    device = share.rate.device
    line.steps = _sum(line.steps, share.work.steps)
    line.seconds = _sum(line.seconds, share.seconds)
    line.devices[device] = share.rate.basis
    by_device[device] = _sum(by_device.get(device, (0.0, 0.0)), share.seconds)


def _sum(first: tuple, second: tuple) -> tuple:
    return first[0] + second[0], first[1] + second[1]
