"""Methods, families and formats from outside: found through a suite, counted by their own cells."""

import subprocess
import sys

import pytest
import yaml

from cones.experiment import plugins
from cones.experiment.cell import Plan
from cones.experiment.pipeline import Pipeline
from cones.experiment.step import Job
from cones.methods.method import METHODS, TuningMethod
from cones.models.family import FAMILIES, family_named, family_of
from cones.runtime.errors import ConesError
from cones.runtime.sources import ROOT

METHOD = """
import mine_helper
from cones.search import ConceptEmbeddingSearch

METHOD = {"name": "mine", "class": "Mine", "label": "My method", "block": "peft"}


class Mine(ConceptEmbeddingSearch):
    scale = mine_helper.SCALE
"""
FAMILY = """
from cones.models.glip.family import GLIPFamily

MODEL = {"name": "my_family", "class": "MyFamily", "models": ["my_model"]}


class MyFamily(GLIPFamily):
    def detector(self, name):
        return super().detector("glip_nano")
"""
FORMAT = """
from cones.runtime.strict import Strict

FORMAT = {"name": "my_format"}
VERSION = 1


class Parameters(Strict):
    root: str = "."


def convert(native, parameters):
    return []
"""


def digest(plan: Plan, step: str, **of) -> str:
    return Pipeline(plan).digest(Job(step, **of))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of its own with a suite `mine` in config/, and plug-ins beside it."""
    root = ROOT
    (tmp_path / "config").mkdir()
    (tmp_path / "config/ci.yaml").write_text((root / "config/ci.yaml").read_text())
    (tmp_path / "datasets.yaml").symlink_to(root / "datasets.yaml")
    (tmp_path / "mine.py").write_text(METHOD)
    (tmp_path / "mine_helper.py").write_text("SCALE = 2\n")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    plugins.load_plugins([], suite_file=tmp_path / "config/mine.yaml")


def suite(folder, *paths, **changes):
    content = {"like": "ci", "suite": "mine", "title": "mine; not comparable with the paper", "plugins": list(paths)}
    (folder / "config/mine.yaml").write_text(yaml.safe_dump({**content, **changes}))
    return lambda: Plan.load("mine")


def with_method(folder):
    rates = {"glip_nano": {"learning_rate": {"mine": 0.1}}}
    return suite(folder, "../mine.py", arms=["zero_shot", "cones", "mine"], models=rates)()


def test_a_method_is_one_file_read_without_importing_it(folder):
    plan = with_method(folder)
    assert plan.method("mine").label == "My method" and "mine" not in sys.modules
    method = TuningMethod.load("mine")
    assert method.scale == 2 and isinstance(method, METHODS.load("cones"))


def test_another_suite_does_not_know_it(folder):
    with_method(folder)
    Plan.load("ci")
    assert "mine" not in METHODS
    with pytest.raises(ConesError, match='arm "mine" has no known method'):
        suite(folder, arms=["mine"])()


def test_its_digest_counts_it_and_its_neighbours_for_its_own_cells_alone(folder):
    def found():
        plan = with_method(folder)
        return [digest(plan, "tune", model="glip_nano", dataset="bccd", arm=arm) for arm in ("cones", "mine")]

    plain = Plan.load("ci")
    without = digest(plain, "tune", model="glip_nano", dataset="bccd", arm="cones")
    before = found()
    assert before[0] == without != before[1]
    (folder / "mine_helper.py").write_text("SCALE = 3\n")
    after = found()
    assert after[0] == without and after[1] != before[1]


def test_a_step_refuses_to_work_after_another_version_of_a_plug_in(folder):
    planned = with_method(folder).digest
    assert with_method(folder).digest == planned
    (folder / "mine.py").write_text(METHOD.replace('"peft"', '"control"'))
    assert with_method(folder).digest != planned


def test_what_a_cell_records_of_it(folder):
    plan = with_method(folder)
    modules = [plan.method("mine").module, family_of("glip_nano").module]
    assert list(plugins.plugins_used(*modules)) == ["mine"]
    assert plugins.plugins_used(plan.method("cones").module) == {}


def test_a_model_family_is_a_package_of_its_own(folder):
    (folder / "my_family").mkdir()
    (folder / "my_family/__init__.py").write_text(FAMILY)
    models = {"my_model": {"initial_seed": 0, "learning_rate": {"cones": 0.1}}}
    plan = suite(folder, "../my_family", arms=["zero_shot", "cones"], models={"glip_nano": {}, **models})()
    assert family_of("my_model").name == "my_family" and "my_model" in plan.suite.models
    assert family_named("my_model").detector("my_model").text_width == 64


def test_a_format_reads_datasets_of_your_own(folder):
    (folder / "my_format.py").write_text(FORMAT)
    entry = {
        **{"paper_name": "mine", "group": "natural", "task": "detection", "classes": ["cat"], "home": "here"},
        **{"licence": "mine", "access": "open"},
        "sources": {
            "official": {"folder": "pictures", "format": {"name": "my_format"}, "split": {"rule": "holdout80"}}
        },
    }
    (folder / "mine.yaml").write_text(yaml.safe_dump({"mine": entry}))
    said = {"registry": ["mine.yaml"], "datasets": ["mine"], "source": "official"}
    plan = suite(folder, "../my_format.py", **said)()
    assert plan.registry["mine"].source("official").format.name == "my_format"
    before = digest(plan, "prepare", dataset="mine")
    (folder / "my_format.py").write_text(FORMAT.replace("return []", "return [1]"))
    assert digest(Plan.load("mine"), "prepare", dataset="mine") != before
    (folder / "my_format.py").write_text(FORMAT.replace("VERSION", "VERSIN"))
    with pytest.raises(ConesError, match=r"my_format.py: a converter needs VERSION"):
        Plan.load("mine")


@pytest.mark.fault("a typo in config or registry")
@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        ("gone.py", None, r"mine.yaml: plugins: there is no such plug-in; expected a .py file.*found .*gone.py"),
        ("bad name.py", METHOD, "must have a name that Python can import"),
        ("json.py", METHOD, "its name is that of an installed module"),
        ("baselines.py", METHOD, "its name is that of an installed module"),
        ("other.py", "x = 1\n", r'other.py: the plug-in does not say what it adds; expected METHOD = {"name": …} or'),
        ("other.py", 'METHOD = {"label": "A"}\n', "METHOD has no name"),
        ("other.py", 'METHOD = {"name": "a", "class": "A", "label": "A"}\nclass A: ...\n', "METHOD: block: a required"),
        ("other.py", METHOD.replace('"mine"', '"cones"'), r'"cones" is there already; found also in .*search.py'),
        ("other.py", METHOD.replace('"Mine"', '"Mien"'), 'there is no class "Mien"; next: did you mean "Mine"'),
        ("other.py", METHOD.replace('"peft"}', '"peft", "inptus": []}'), 'unknown key; next: did you mean "inputs"'),
        ("other.py", FAMILY.replace("my_model", "glip_t"), r'the model "glip_t" is there already'),
        ("other.py", "METHOD = {", "not valid Python"),
    ],
)
def test_a_mistake_ends_in_one_line(folder, path, text, message):
    if text is not None:
        (folder / path).write_text(text)
    with pytest.raises(ConesError, match=message) as caught:
        suite(folder, f"../{path}")()
    assert "\n" not in str(caught.value)
    Plan.load("ci")  # and leaves nothing behind
    assert list(METHODS) == list(METHODS._permanent) and not {"mine", "a"} & set(FAMILIES)


@pytest.mark.fault("a typo in config or registry")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (METHOD.replace("mine_helper", "no_such_helper"), r"mine.py: cannot be imported; found No module named"),
        (METHOD.replace("(ConceptEmbeddingSearch)", ""), r"mine.py: Mine: not a TuningMethod"),
        (
            METHOD.replace(
                "cones.search import ConceptEmbeddingSearch", "cones.methods.method import TuningMethod"
            ).replace("(ConceptEmbeddingSearch)", "(TuningMethod)"),
            r"a TuningMethod needs prompt and trainable",
        ),
    ],
)
def test_a_class_that_cannot_be_made_is_refused_by_the_step_that_needs_it(folder, text, message):
    (folder / "mine.py").write_text(text)
    with_method(folder)
    with pytest.raises(ConesError, match=message):
        TuningMethod.load("mine")


def test_an_installed_package_offers_entries_by_its_entry_points(tmp_path):
    """In a process of its own: what is installed is read once."""
    (tmp_path / "my_package").mkdir()
    (tmp_path / "my_package/__init__.py").write_text("")
    (tmp_path / "my_package/mine.py").write_text(
        METHOD.replace("import mine_helper", "from . import helper as mine_helper")
    )
    (tmp_path / "my_package/helper.py").write_text("SCALE = 2\n")
    info = tmp_path / "my_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[cones.methods]\nmine = my_package.mine\n")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from cones.methods.method import METHODS\n"
        "from cones.runtime.provenance import modules_behind\n"
        "assert METHODS['mine'].label == 'My method' and 'my_package' not in sys.modules\n"
        "assert {'my_package.mine', 'my_package.helper', 'cones.search'} <= modules_behind(METHODS.module('mine'))\n"
        "assert METHODS.load('mine').scale == 2\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_reading_a_suite_with_plug_ins_imports_no_torch(folder):
    with_method(folder)
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from workflow.context import Context\n"
        "Context.from_config({'suite': 'mine'}, is_main=False)\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    assert "torch" not in done.stdout.split() and "mine" not in done.stdout.split()
