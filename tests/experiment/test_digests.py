"""An edit re-runs what depends on the edited file and nothing else: digests before and after edits of a copy."""

import functools
import os
import shutil
from collections.abc import Callable

import pytest

from cones.data.formats import FORMATS
from cones.experiment import digests
from cones.experiment.cell import Plan
from cones.experiment.outputs import OUTPUTS
from cones.experiment.pipeline import Pipeline
from cones.experiment.step import Job
from cones.methods.method import METHODS
from cones.models.family import FAMILIES
from cones.outputs import digests as output_digests
from cones.runtime import provenance, sources

ROOT = sources.ROOT
MODELS, DATASETS = {"glip": "glip_nano", "uninext": "uninext_nano"}, ("bccd", "luna16", "kvasir_seg")


@pytest.fixture(scope="module")
def plan():
    return Plan.load("miniature")


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the library's sources that digests are taken of; the code that runs stays the original."""
    folder, ignored = tmp_path_factory.mktemp("tree"), shutil.ignore_patterns("__pycache__", "*.safetensors")
    for name in (*sources.PACKAGES, "workflow"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "ROOT", folder)
        patch.setattr(digests, "LISTS", folder / "cones/data/lists")
        patch.setattr(provenance, "_source", parsed_once(provenance._source.__wrapped__))
        yield folder
    forget()


def parsed_once(source: Callable) -> Callable:
    """`provenance._source` for many edits: a module is parsed again if its bytes are others or if it names data files.

    To clear its cache, as a new process would, is to look at every file again.
    """
    known = {}

    @functools.cache
    def found(module: str):
        path = sources.own_path(module)
        content = module, path and path.read_bytes()
        if content not in known or known[content].data:
            known[content] = source(module)
        return known[content]

    return found


@pytest.fixture(scope="module")
def before(tree, plan):
    return every_digest(plan)


def forget():
    provenance.forget_sources()
    for registry in (METHODS, FAMILIES, FORMATS, OUTPUTS):
        registry.forget()


def every_digest(plan) -> dict[str, str]:
    """{job: its digest}: steps of data, models, cells and tables, by what they chose."""
    forget()
    pipeline = Pipeline(plan)
    found = {f"prepare {dataset}": pipeline.digest(Job("prepare", dataset=dataset)) for dataset in DATASETS}
    for family, model in MODELS.items():
        shared = next(dataset for each, dataset in plan.sharing if each == model)
        found[f"weights {family}"] = pipeline.digest(Job("weights", weights=plan.weights(model).stem))
        for step in ("text_states", "features"):
            found[f"{step} {family}"] = pipeline.digest(Job(step, model=model, dataset=shared))
        for method in ("zero_shot", "prompt_tuning", "cones", "cones_finetuned", "full_finetuning"):
            for step in ("tune", "evaluate", "embed"):
                job = pipeline.job_of(step, plan.cell(model, "kvasir_seg", method, 0))
                found[f"{step} {family} {method}"] = pipeline.digest(job)
    found["learn"] = pipeline.digest(pipeline.job_of("learn_subject", plan.subject_cell("dog", "cones", 0)))
    found["collect"] = output_digests.collect(plan, "table1")
    found |= {output.name: output_digests.output(plan, output) for output in OUTPUTS.values()}
    found["report"] = output_digests.report(plan, {})
    return found


@pytest.fixture
def changed(tree, plan, before):
    """changed(file, old, new) -> the jobs that an edit of a file re-runs; the last edit is taken back."""

    def apply(name: str, old: str, new: str) -> set[str]:
        path = tree / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        try:
            after = every_digest(plan)
        finally:
            path.write_text(text)
        return {job for job in before if before[job] != after[job]}

    return apply


@pytest.fixture
def jobs(before):
    """jobs(*words) -> the jobs with all of these words in their names."""
    return lambda *words: {job for job in before if set(words) <= set(job.split())}


def test_a_converter_belongs_to_the_datasets_of_its_format(changed):
    assert changed("cones/data/formats/luna16.py", "return ", "return 1 and ") == {"prepare luna16"}


def test_a_list_of_pictures_belongs_to_the_dataset_that_names_it(changed, tree):
    name = "cones/data/lists/kvasir_test_ids.txt"
    first = (tree / name).read_text().split()[0]
    assert changed(name, first, f"{first}x") == {"prepare kvasir_seg"}


@pytest.mark.parametrize(
    ("family", "file", "text"),
    [
        ("uninext", "criterion.py", "return "),
        ("glip", "atss.py", "return "),
    ],
)
def test_a_family_s_code_belongs_to_its_models(changed, jobs, family, file, text):
    found = changed(f"cones/models/{family}/{file}", text, f"{text}1 and ")
    assert found == jobs(family)


def test_an_official_file_belongs_to_the_step_that_fetches_it(changed):
    """Cells depend on weights, which depend on the record of the verified file."""
    assert changed("cones/models/glip/official.yaml", "glip_t:", "glip_tt:") == set()


def test_a_baseline_belongs_to_its_cells(changed, jobs):
    found = changed("baselines/prompt_tuning.py", "prompt.vectors", "prompt.vector")
    assert found == jobs("prompt_tuning")


def test_a_label_belongs_to_tables_and_inputs_to_cells(changed, jobs):
    label = changed("baselines/prompt_tuning.py", '"label": "Prompt tuning"', '"label": "CoOp"')
    assert label == {*OUTPUTS, "report"}
    block = changed("baselines/prompt_tuning.py", '"block": "peft"', '"block": "control"')
    assert block == {*OUTPUTS, "collect", "report"}
    inputs = changed("baselines/prompt_tuning.py", '["text_encoder"]', '["text_states"]')
    assert inputs == jobs("prompt_tuning", "tune") | jobs("prompt_tuning", "evaluate")


def test_a_vocabulary_belongs_to_whatever_reads_it(changed, jobs):
    found = changed("cones/models/nano_vocab.txt", "[PAD]", "[PAD2]")
    assert found >= jobs("glip") | jobs("uninext")
    assert not any(job.startswith("prepare") or job == "learn" for job in found)


@pytest.mark.parametrize(
    ("file", "old", "its_own"),
    [
        ("cones/outputs/table4.py", "return ", {"table4", "report"}),
        ("cones/outputs/figure5.py", "return ", {"table3", "report"}),
        # every table, as `cones.outputs.reference` holds the groups of datasets as well, but no list of cells
        ("workflow/reference/paper_tables.yaml", "table1:", {*OUTPUTS, "report"}),
        ("cones/outputs/report/report.html.j2", "<html", {"report"}),
        ("cones/outputs/report/style.css", "{", {"report"}),
        ("cones/models/stable_diffusion/templates.txt", "{}", {"learn"}),
        ("cones/forecast/rates.py", "return ", set()),
    ],
)
def test_what_is_shown_belongs_to_no_cell(changed, file, old, its_own):
    assert changed(file, old, f"{old}1 and " if old == "return " else f"{old} ") == its_own


def test_a_new_method_changes_nothing(tree, plan, before):
    text = (tree / "baselines/prompt_tuning.py").read_text()
    (tree / "baselines/mine.py").write_text(text.replace('"prompt_tuning"', '"mine"'))
    listed = tree / "cones/built_in.py"
    listed.write_text(listed.read_text().replace("METHODS = {", 'METHODS = {\n    "mine": "baselines.mine",'))
    assert every_digest(plan) == before


def package_data() -> list[str]:
    found = (path for package in sources.PACKAGES for path in (ROOT / package).rglob("*") if path.is_file())
    return sorted(str(path.relative_to(ROOT)) for path in found if path.suffix not in (".py", ".pyc"))


# what is not counted as code: files that the rules or other digests name one by one
SHIPPED_WEIGHTS, LISTS = "cones/miniature/weights/", "cones/data/lists/"
OFFICIAL = tuple(str(entry.official_list.relative_to(ROOT)) for entry in FAMILIES.values())


def test_every_data_file_of_the_library_is_in_the_digest_of_a_step(tree, plan):
    pipeline = Pipeline(plan)
    steps = {module for job in pipeline.all_jobs() for module in digests.code_modules(plan, job)}
    steps |= {output.module for output in OUTPUTS.values()} | {"cones.steps.report", "cones.steps.plan"}
    steps |= {METHODS.module(name) for name in METHODS}  # counted with the cells that choose them
    counted = {str(path.relative_to(tree)) for path in provenance.data_behind(*steps)}
    left = [name for name in package_data() if name not in counted]
    assert [name for name in left if not name.startswith((SHIPPED_WEIGHTS, LISTS, *OFFICIAL))] == []


def test_shipped_weights_are_inputs_of_the_steps_that_read_them(plan, monkeypatch):
    monkeypatch.chdir(ROOT)
    pipeline = Pipeline(plan)
    given = pipeline.inputs(Job("find_pretrained", name="sd_nano"))["shipped"]
    for model in plan.suite.all_models:
        given += pipeline.inputs(Job("weights", weights=plan.weights(model).stem))["shipped"]
    shipped = {name for name in package_data() if name.startswith(SHIPPED_WEIGHTS)}
    assert shipped == {os.path.normpath(path) for path in given}
