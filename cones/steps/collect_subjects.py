"""Step `generation collect`: the subjects' cells become tables and Figures 3 and 6; needs no model."""

from pathlib import Path

from cones.analysis.figure3 import SubjectPictures, save_subjects
from cones.artifacts import read_json, write_text
from cones.cell import RESULTS, Cell, Plan
from cones.evaluation.generation_metrics import read_generation_metrics
from cones.generation import Generation
from cones.methods import TuningMethod
from cones.models.generator import Subject
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

    With `partial`, for a run that failed: the tables alone, of what there is, under names that say so.
    """
    folder, suite, said = RESULTS / plan.suite.suite, plan.suite.suite, plan.suite.generation
    title = said_of_suite(plan.suite.title, partial)
    found = subject_cells(plan)
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
    return written if partial else [*written, *_figures(plan, said, folder)]


def subject_cells(plan: Plan) -> list[SubjectCell]:
    found = []
    for cell in plan.subject_cells():
        file = cell.folder / "metrics.json"
        metrics = read_generation_metrics(file) if file.exists() else None
        done = metrics is not None and metrics.status == "done"
        learning = read_json(cell.folder / "tuning.json")["learning"] if done else {}
        found.append(SubjectCell(plan.subject_of(cell), cell.arm, cell.seed, metrics, learning))
    return found


def _figures(plan: Plan, said: Generation, folder: Path) -> list[Path]:
    """Figure 3 shows the subjects the suite names, large; Figure 6 the others."""
    manifest, seed = plan.manifest(said.dataset), said.seeds[0]
    there = manifest["generation"]["subjects"] if manifest["status"] != "skipped" else {}
    known = [name for name in said.subjects or there if name in there]
    large = said.figure3 or tuple(known)[:4]
    heads = ["Real pictures", *(arm_label(arm, said.method(arm)) for arm in said.shown_arms)]
    note = NOTE + DEGENERATE * any(map(said.is_degenerate, said.shown_arms))
    written = []
    for number, subjects, pictures, abreast in (
        (3, [name for name in large if name in known], 4 if len(heads) <= 4 else 3, 1),
        (6, [name for name in known if name not in large], 2, 2),
    ):
        rows = [_row(plan, said, manifest, subject, seed) for subject in subjects]
        title = heading(plan.suite.suite, plan.suite.title, what=f"Figure {number}")
        png = folder / f"figure{number}.png"
        written += save_subjects(rows, heads, png, heading=title, note=note, pictures=pictures, abreast=abreast)
    return written


def _row(plan: Plan, said: Generation, manifest: dict, name: str, seed: int) -> SubjectPictures:
    subject = Subject.of_manifest(manifest["generation"], name, plan.data_folder(said.dataset) / "raw")
    drawn = (_drawn(plan.subject_cell(name, arm, seed)) for arm in said.shown_arms)
    return SubjectPictures(name, subject.class_word, (subject.pictures, *drawn))


def _drawn(cell: Cell) -> tuple[Path, ...]:
    """The pictures of the reconstruction track, in their order."""
    folder = cell.folder / "images" / "reconstruction"
    return tuple(folder / file for file in read_json(folder / "prompts.json")[0]["files"])
