"""Files from strangers cannot run a command, be unpickled into code, or lead out of their folder."""

import ast
import os
import pickle
import re
from pathlib import Path

import pytest
import torch
import yaml

from cones.data.registry import Dataset, load_registry
from cones.experiment.cell import _check_subjects
from cones.experiment.outputs import OUTPUTS
from cones.experiment.suite import load_suite
from cones.runtime.errors import ConesError
from cones.training.checkpoint import read_checkpoint
from tests.data.made_up import cells_entry

SOURCES = sorted(path for package in ("cones", "baselines", "workflow") for path in Path(package).rglob("*.py"))
RULES = [Path("Snakefile"), *sorted(Path("workflow/rules").glob("*.smk"))]
HOSTILE = [
    "../elsewhere",
    "/etc/cron.d/x",
    "a; touch x",
    "$(touch x)",
    "a`b`",
    "a b",
    "a\nb",
    "a\n",
    "",
    "a{b}",
    "-rf",
    "é",
]
FORBIDDEN = {
    *("eval", "exec", "os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"),
    *("pickle.load", "pickle.loads", "pickle.Unpickler", "yaml.unsafe_load", "yaml.full_load", "shelve.open"),
    *("tempfile.mktemp", "shutil.unpack_archive", "file.extractall", "archive.extractall"),
}


def entry(**changes) -> dict:
    return cells_entry().model_dump(exclude={"id"}, exclude_none=True) | changes


def refused(tmp_path, content: dict) -> str:
    path = tmp_path / "datasets.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(ConesError) as caught:
        load_registry(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)
    return str(caught.value)


def spoilt(key: str, value) -> dict:
    """An entry whose source, archive or format has a hostile value."""
    content = entry()
    source = content["sources"]["official"]
    {"archive": source["archives"][0], "format": source["format"], "split": source["split"]}[key].update(value)
    return content


def test_the_entry_is_fine_before_it_is_spoilt(tmp_path):
    (tmp_path / "datasets.yaml").write_text(yaml.safe_dump({"cells": entry()}))
    assert isinstance(load_registry(tmp_path / "datasets.yaml")["cells"], Dataset)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_registry_is_refused(tmp_path, name):
    refused(tmp_path, {name: entry()})
    refused(tmp_path, {"cells": spoilt("archive", {"filename": name})})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("archive", {"strip": "../.."}),
        ("archive", {"into": "/etc"}),
        ("archive", {"urls": ["ftp://example.org/a.zip"]}),
        ("archive", {"urls": ["https://ann:pw@example.org/a.zip"]}),
        ("format", {"root": "../../other"}),
        ("format", {"root": "/etc"}),
        ("format", {"root": "~"}),
        ("format", {"annotations": "a/../../b"}),
        ("split", {"lists": {"test": "../../secret.txt"}}),
    ],
)
def test_no_path_of_a_registry_leads_outside(tmp_path, key, value):
    assert "cells" in refused(tmp_path, {"cells": spoilt(key, value)})


@pytest.mark.parametrize(
    "text", ["!!python/object/apply:os.system [touch x]", "&a [*a, *a]", "a: {b: !!python/name:os}"]
)
def test_yaml_cannot_make_objects(tmp_path, text):
    (tmp_path / "datasets.yaml").write_text(text)
    with pytest.raises(ConesError):
        load_registry(tmp_path / "datasets.yaml")
    assert os.listdir(tmp_path) == ["datasets.yaml"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_config_is_refused(name):
    model = load_suite("ci").models["glip_nano"].model_dump()
    for overrides in (
        {"suite": name},
        {"models": {name: model}},
        {"arms": {name: {"method": "cones"}}},
        {"grids": {name: {}}},
    ):
        with pytest.raises(ConesError) as caught:
            load_suite("ci", overrides)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("folder", ["", " ", "{suite}", "a\nb"])
def test_a_data_folder_is_a_path_and_nothing_else(folder):
    for key in ("data_dir", "mirror"):
        with pytest.raises(ConesError, match=f"{key}: must be the path of a folder"):
            load_suite("ci", {key: folder})


def test_a_subject_with_a_name_for_the_shell_is_refused():
    entry = load_registry()["dreambooth"]
    hostile = entry.model_copy(update={"classes": ["dog; touch /tmp/x"]})
    with pytest.raises(ConesError, match=r"dataset dreambooth: classes: a class that is a subject .*dog; touch"):
        _check_subjects(hostile)
    for arm in ("a b", "../up", "$(x)"):
        with pytest.raises(ConesError, match="a name is letters, digits"):
            load_suite("miniature", {"generation": {"arms": {arm: {"method": "cones"}}}})


@pytest.mark.parametrize("said", [{"name": "x; touch y"}, {"name": "../up"}, {"name": "mine", "figures": ["a b"]}])
def test_an_output_with_a_name_for_the_shell_is_refused(tmp_path, monkeypatch, said):
    said = {"reads": "manifests", "title": "Mine", **said}
    (tmp_path / "hostile_output.py").write_text(f"OUTPUT = {said!r}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConesError, match="a name is letters, digits"):
        OUTPUTS.add(said["name"], "hostile_output")
    assert said["name"] not in OUTPUTS


def test_rules_hand_the_shell_nothing_but_names_that_were_checked():
    """Wildcards are constrained to names of the plan; logs, inputs and outputs of shell commands are made of them."""
    safe = {f"wildcards.{name}" for name in ("suite", "source", "model", "dataset", "arm", "seed", "name")}
    drawn = {"wildcards.subject"}  # constrained in generate.smk
    planned = {
        "params.grid": "grid=grid,",
        "params.name": "name=output.name,",
        "params.model": "model=lambda wildcards",
    }
    safe |= {"log", *planned, *(f"{side}{part}" for side in ("input", "output") for part in ("", ".png", ".pdf"))}
    safe |= {f"{side}.{part}" for side in ("input", "output") for part in ("table", "markdown")}
    blocks = [block for rules in RULES for block in re.findall(r"    shell:\n((?: +.*\n)+)", rules.read_text())]
    assert len(blocks) > 15
    for block in blocks:
        assert not re.search(r'\bf"', block), f"an f-string is filled in before Snakemake quotes anything:\n{block}"
        assert set(re.findall(r"\{([^{}]+)\}", block)) <= safe | drawn, block
    rules = "".join(path.read_text() for path in RULES)
    assert all(rules.count(said) == 1 for said in planned.values())
    generate = Path("workflow/rules/generate.smk").read_text()
    assert 'subject="|".join(plan.registry[generation.dataset].classes)' in generate
    assert 'name="|".join(generation.pretrained)' in generate
    constrained = Path("Snakefile").read_text().partition("wildcard_constraints:")[2].partition("\n\n\n")[0]
    assert {f"wildcards.{name}" for name in re.findall(r"(\w+)=", constrained)} >= {n for n in safe if "wild" in n}


def called(tree: ast.AST):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {word.arg: ast.unparse(word.value) for word in node.keywords}, node


def test_no_source_evaluates_unpickles_or_asks_a_shell():
    for path in SOURCES:
        for name, words, node in called(ast.parse(path.read_text(encoding="utf-8"))):
            where = f"{path}:{node.lineno}: {ast.unparse(node)}"
            assert name not in FORBIDDEN, where
            assert words.get("shell", "False") == "False", where
            if name in ("torch.load", "load") and "torch" in name:
                assert words.get("weights_only") == "True", where
            if name in ("np.load", "numpy.load"):
                assert words.get("allow_pickle", "False") == "False", where
            if name == "yaml.load":
                assert words.get("Loader") == "_UniqueKeys", where  # a SafeLoader
            if name.endswith(".load") and "joblib" in name:
                raise AssertionError(where)


def test_that_look_finds_what_it_looks_for():
    spoilt = "subprocess.run(f'rm {name}', shell=True)\neval(text)\ntorch.load(path)\n"
    assert [name for name, _, _ in called(ast.parse(spoilt))] == ["subprocess.run", "eval", "torch.load"]


class Payload:
    def __reduce__(self):
        return os.mkdir, ("opened",)


def test_a_checkpoint_that_would_run_code_is_not_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, write in {
        "torch": torch.save,
        "pickle": lambda value, path: path.write_bytes(pickle.dumps(value)),
    }.items():
        write({"identity": "x", "trained": Payload()}, tmp_path / name)
        assert read_checkpoint(tmp_path / name, "x") is None
    assert sorted(os.listdir(tmp_path)) == ["pickle", "torch"]
