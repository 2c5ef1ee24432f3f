"""Snakemake starts as many jobs that lease a GPU as there are GPUs only if every such rule asks for one."""

import ast
import re
from types import SimpleNamespace

import pytest
from flow import ROOT

from cones.experiment.cell import Plan
from workflow.context import Context

COMMAND = re.compile(r"python -m cones (generation |classification )?([\w-]+)")


def rules() -> dict[str, tuple[str, bool]]:
    """{rule: (its command, whether it asks for a GPU)} of every rule that calls a step."""
    found = {}
    for file in sorted((ROOT / "workflow/rules").glob("*.smk")):
        for block in re.split(r"^ *rule ", file.read_text(), flags=re.MULTILINE)[1:]:
            if step := COMMAND.search(block):
                found[block.partition(":")[0]] = ("".join(filter(None, step.groups())), "gpu=" in block)
    return found


def leases_a_device(command: str) -> bool:
    """Whether the step that a command of the command line imports takes a device, itself or through its module."""
    group, _, name = command.rpartition(" ")
    name = name.replace("-", "_")
    commands = functions(f"cones/cli/{group or 'main'}.py")
    if name not in commands:  # a command with a file of its own
        commands = functions(f"cones/cli/{name}.py")
    imports = [node for node in ast.walk(commands[name]) if isinstance(node, ast.ImportFrom)]
    return any(takes_a_device(node.module, alias.name) for node in imports for alias in node.names)


def takes_a_device(module_name: str, function: str) -> bool:
    """Whether a function of a module mentions the choice of a device, itself or through others of its module."""
    module = functions(f"{module_name.replace('.', '/')}.py")
    todo, seen = [function], set()
    while todo:
        seen.add(called := todo.pop())
        mentioned = names_in(module[called]) if called in module else set()
        if "device_for" in mentioned or mentioned & classes_that_take_a_device(module_name):
            return True
        todo += (mentioned & module.keys()) - seen
    return False


def classes_that_take_a_device(module_name: str) -> set[str]:
    """Of the classes that a module imports from other steps those that mention the choice of a device."""
    tree, found = ast.parse((ROOT / f"{module_name.replace('.', '/')}.py").read_text()), set()
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("cones.steps."):
            other = ast.parse((ROOT / f"{node.module.replace('.', '/')}.py").read_text())
            classes = {each.name: each for each in other.body if isinstance(each, ast.ClassDef)}
            names = {alias.name for alias in node.names} & classes.keys()
            found |= {name for name in names if "device_for" in names_in(classes[name])}
    return found


def functions(path: str) -> dict[str, ast.AST]:
    """Of a source file, by name; methods too."""
    tree = ast.parse((ROOT / path).read_text())
    return {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def names_in(function: ast.AST) -> set[str]:
    names = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
    return names | {node.attr for node in ast.walk(function) if isinstance(node, ast.Attribute)}


def test_exactly_the_rules_whose_step_takes_a_device_ask_for_a_gpu():
    asks = {rule for rule, (_, says_gpu) in rules().items() if says_gpu}
    leases = {rule for rule, (command, _) in rules().items() if leases_a_device(command)}
    assert asks == leases
    assert {"features", "tune", "evaluate", "embed", "encode_nouns", "draw_subject"} <= leases


@pytest.mark.parametrize(
    ("suite", "wildcards", "gpus"),
    [
        ("miniature", {"model": "glip_nano"}, 0),
        ("miniature", {}, 0),  # a rule of generation
        ("paper", {"model": "glip_t"}, 1),
        ("paper", {}, 1),
    ],
)
def test_a_job_asks_for_a_gpu_if_its_model_takes_one(suite, wildcards, gpus):
    context = Context(Plan.load(suite), {}, is_main=False)
    assert context.gpus(SimpleNamespace(**wildcards)) == gpus
