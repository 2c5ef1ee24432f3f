"""Step `generation collect`: the subjects' cells become tables and Figures 3 and 6; needs no model."""

from collections.abc import Callable, Iterable
from pathlib import Path

from cones.analysis.figure3 import SubjectPictures, save_subjects
from cones.artifacts import read_json, write_text
from cones.cell import RESULTS, Cell, Plan
from cones.errors import ConesError
from cones.evaluation.generation_metrics import read_generation_metrics
from cones.experiment.pipeline import Pipeline
from cones.generation import TRACKS, Generation, Track
from cones.methods import TuningMethod
from cones.models.generator import Subject
from cones.steps.collect import check_of_cells
from cones.steps.holes import log_of_failure
from cones.tables.cells import check_identity, last_line
from cones.tables.files import named, read_csv, to_csv
from cones.tables.generation import SubjectCell, cells_table, generation_table, pairs_table
from cones.tables.generation_render import arm_label, generation_sheet
from cones.tables.sheet import sheet_markdown
from cones.tables.wording import heading, said_of_suite

NOTE = (
    "Real pictures are those the subject is learnt from. Equal places in the columns start from equal noise; nothing is"
    " picked: the first pictures are shown. Class name: what the model draws without learning. What the numbers say:"
    " generation.csv."
)
DEGENERATE = " One bare ConES vector adds the same to every place of the picture; it cannot say where."


def collect_subjects(plan: Plan, *, partial: bool = False) -> list[Path]:
    """`generation_cells.csv`, `generation.csv` and `.md`, `generation_pairs.csv`, `figure3` and `figure6`.

    A cell that is not what its `run.json` says is refused. With `partial`, for a run that failed: the tables alone, of
    what there is, under names that say so; such a cell is a hole with the reason.
    """
    folder, suite, said = RESULTS / plan.suite.suite, plan.suite.suite, plan.generation
    title = said_of_suite(plan.suite.title, partial)
    found = subject_cells(plan, partial=partial)
    reasons = {
        arm: TuningMethod.load(said.method(arm)).supports(said.model) or "has no context for a generator"
        for arm in said.arms
        if arm not in said.drawing_arms
    }

    def write(name: str, text: str) -> Path:
        write_text(path := folder / named(name, partial), text)
        return path

    written = [
        write("generation_cells.csv", to_csv(cells_table(found, said, suite=suite))),
        write("generation.csv", to_csv(generation_table(found, said, reasons, suite=suite))),
        write("generation_pairs.csv", to_csv(pairs_table(found, said, suite=suite))),
    ]
    sheet = generation_sheet(*read_csv(written[1]), suite=suite, title=title)
    written.append(write("generation.md", sheet_markdown(sheet)))
    return written if partial else [*written, *_figures(plan, said, found, folder)]


def subject_cells(plan: Plan, *, partial: bool = False) -> list[SubjectCell]:
    """The cells of the suite's generation and what there is of each, believed as `collect_grid` believes its cells."""
    check, pipeline = check_of_cells(plan), Pipeline(plan)
    return [_found(pipeline, cell, check, partial) for cell in plan.subject_cells()]


def _found(pipeline: Pipeline, cell: Cell, check: Callable[[Cell], None], partial: bool) -> SubjectCell:
    plan = pipeline.plan
    file, key = cell.folder / "metrics.json", (plan.subject_of(cell), cell.arm, cell.seed)
    if not file.exists():
        return SubjectCell(*key, None, {}, last_line(log_of_failure(pipeline, cell)))
    try:
        metrics = read_generation_metrics(file)
        method = plan.generation.method(cell.arm)
        check_identity(metrics.cell.model_dump(), {**vars(cell), "method": method}, file)
        check(cell)
        learning = read_json(cell.folder / "tuning.json")["learning"] if metrics.status == "done" else {}
    except ConesError as error:
        if not partial:
            raise
        return SubjectCell(*key, None, {}, str(error))
    return SubjectCell(*key, metrics, learning)


def _figures(plan: Plan, said: Generation, found: list[SubjectCell], folder: Path) -> list[Path]:
    """Figure 3 shows the subjects the suite names, large; Figure 6 the others; a hole is named with its reason."""
    manifest, seed = plan.manifest(said.dataset), said.seeds[0]
    shown = [one for one in found if one.arm in said.shown_arms and one.seed == seed]
    holes = {one.subject: one.reason for one in shown if one.status != "done"}
    asked = said.subjects or sorted(plan.registry[said.dataset].classes)
    there = [name for name in asked if name not in holes]
    holes |= dict.fromkeys(set(said.figure3) - set(asked), "not among the subjects of this suite")
    large = said.figure3 or there[:4]
    heads = ["Real pictures", *(arm_label(arm, said.method(arm)) for arm in said.shown_arms)]
    note = NOTE + DEGENERATE * any(map(said.is_degenerate, said.shown_arms))
    written = []
    for number, subjects, pictures, abreast in (
        (3, large, 4 if len(heads) <= 4 else 3, 1),
        (6, [name for name in asked if name not in large], 2, 2),
    ):
        rows = [_row(plan, said, manifest, subject, seed) for subject in subjects if subject in there]
        title = heading(plan.suite.suite, plan.suite.title, what=f"Figure {number}")
        png, told = folder / f"figure{number}.png", note + _left_out(subjects, holes)
        written += save_subjects(rows, heads, png, heading=title, note=told, pictures=pictures, abreast=abreast)
    return written


def _left_out(subjects: Iterable[str], holes: dict[str, str]) -> str:
    """A sentence for each reason why subjects are not in the figure."""
    by_reason: dict[str, list[str]] = {}
    for subject in subjects:
        if subject in holes:
            by_reason.setdefault(holes[subject], []).append(subject)
    return "".join(f" Not shown: {', '.join(names)} ({reason})." for reason, names in by_reason.items())


def _row(plan: Plan, said: Generation, manifest: dict, name: str, seed: int) -> SubjectPictures:
    subject = Subject.of_manifest(manifest["generation"], name, plan.data_folder(said.dataset) / "raw")
    track = next(track for track in TRACKS if track in said.pictures)
    drawn = (_drawn(plan.subject_cell(name, arm, seed), track) for arm in said.shown_arms)
    return SubjectPictures(name, subject.class_word, (subject.pictures, *drawn))


def _drawn(cell: Cell, track: Track) -> tuple[Path, ...]:
    """The pictures of the track's first prompt, in their order."""
    folder = cell.folder / "images" / track
    return tuple(folder / file for file in read_json(folder / "prompts.json")[0]["files"])
