"""The forecast of a run: one line per model and arm, what has to be fetched, and the sums."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from cones.cell import RESULTS, Cell, Plan
from cones.forecast.rates import Rates, read_records
from cones.forecast.storage import Source, checkpoint_sources, dataset_sources
from cones.forecast.targets import cells_of, grids_of, is_done, jobs
from cones.forecast.work import Pictures, bytes_left, pictures, seconds, work


@dataclass
class Line:
    """The cells of one model and arm. Ranges are (least, most) over the epochs that tuning may take.

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
    """`jobs` counts from nothing, {rule: jobs}; `seconds` of the remaining cells by device.

    feature_bytes   the most that shared image features may take
    draws_pictures  the targets have pictures of subjects among them, which nothing here reckons
    """

    suite: str
    grids: list[str]
    lines: list[Line]
    jobs: dict[str, int]
    sources: list[Source]
    feature_bytes: int
    draws_pictures: bool
    seconds: dict[str, tuple[float, float]]

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
        """What neither lies here nor comes by itself."""
        return [s for s in self.sources if not (s.is_here or s.is_downloaded or s.state == "to draw")]

    @property
    def data_bytes(self) -> int:
        """Archives and checkpoints, and the same again unpacked and converted: pictures and weights do not compress."""
        return 2 * sum(source.bytes for source in self.sources)

    @property
    def result_bytes(self) -> int:
        return sum(line.bytes for line in self.lines)


def forecast(
    plan: Plan,
    targets: Sequence[str] = (),
    *,
    datasets: Sequence[str] = (),
    tflops: float,
    epochs: int | None = None,
    from_scratch: bool = False,
) -> Forecast:
    """What the targets (default: everything the suite makes) will cost, of all their datasets or of some.

    tflops        sustained speed of a GPU where operations were counted and nothing was measured
    epochs        assumed of every tuned cell instead of the range that early stop allows; records go before
    from_scratch  finished cells cost what the others do
    """
    grids = grids_of(plan, targets)
    cells = cells_of(plan, grids, datasets)
    seen = {name: pictures(plan, name) for name in dict.fromkeys(cell.dataset for cell in cells)}
    models = dict.fromkeys(cell.model for cell in cells)
    rates = Rates(read_records(RESULTS, models), tflops=tflops)
    lines: dict[tuple[str, str], Line] = {}
    by_device: dict[str, tuple[float, float]] = {}
    for cell, its_jobs in cells.items():
        line = lines.setdefault((cell.model, cell.arm), Line(cell.model, cell.arm))
        done = is_done(cell, its_jobs) and not from_scratch
        line.cells, line.done = line.cells + 1, line.done + done
        _add(plan, cell, line, by_device, seen[cell.dataset], rates, epochs, done, its_jobs)
    parameters = {model: known["parameters"] for model in models if (known := rates.known(model))}
    return Forecast(
        suite=plan.suite.suite,
        grids=grids,
        lines=sorted(lines.values(), key=lambda line: list(models).index(line.model)),
        jobs=dict(jobs(plan, cells)),
        draws_pictures=plan.suite.generation is not None and not targets,
        feature_bytes=int(plan.suite.feature_cache_gb * 1e9),
        sources=[*dataset_sources(plan, seen), *checkpoint_sources(plan, models, parameters)],
        seconds=by_device,
    )


def _add(
    plan: Plan,
    cell: Cell,
    line: Line,
    by_device: dict[str, tuple[float, float]],
    seen: Pictures | None,
    rates: Rates,
    epochs: int | None,
    done: bool,
    its_jobs: set[str],
) -> None:
    """One cell's share of its line and of its device's seconds."""
    settings, known = plan.settings(cell), rates.known(cell.model)
    rate = rates.of(cell.model, cell.dataset, settings)
    if seen is None or known is None or rate is None:
        line.unknown += 1
        return
    is_scored = "evaluate" in its_jobs
    line.bytes += bytes_left(plan, cell, settings, seen, known, is_scored=is_scored)
    if done:
        return
    todo = work(settings, seen, rate, epochs, is_scored=is_scored)
    took = seconds(todo, rate, known["job_seconds"], len(its_jobs))
    line.steps = _sum(line.steps, todo.steps)
    line.seconds = _sum(line.seconds, took)
    line.devices[rate.device] = rate.basis
    by_device[rate.device] = _sum(by_device.get(rate.device, (0.0, 0.0)), took)


def _sum(one: tuple, other: tuple) -> tuple:
    return one[0] + other[0], one[1] + other[1]
