"""The digests by which tables, figures and the report are found outdated: of their code, and of how methods are
printed."""

from cones.experiment.cell import Plan
from cones.experiment.outputs import Output, outputs_of
from cones.experiment.suite import CONFIG_FOLDER
from cones.outputs.report.files import TEMPLATES
from cones.runtime.provenance import code_digest, settings_digest


def collect(plan: Plan, grid: str) -> str:
    """Digest of the code that lists the cells of a grid, and of the blocks in which tables show its methods."""
    _, _, arms = plan.suite.grid(grid)
    blocks = {arm: plan.method(arm).block for arm in arms}
    return f"{code_digest('cones.steps.collect')}-{settings_digest(blocks)}"


def output(plan: Plan, output: Output) -> str:
    """Digest of the code of a table or figure and of what it reads, and of how the suite's methods are printed."""
    return f"{code_digest('cones.outputs.make', output.module, output.reading_module)}-{_printed(plan)}"


def report(plan: Plan, overrides: dict) -> str:
    """Digest of the report's code and templates, of the code of every output, and of the suite's file and overrides.

    What the page shows is compared apart: a suite that is `like` another has it from there.
    """
    outputs, config = outputs_of(plan.suite.parts), CONFIG_FOLDER / f"{plan.suite.suite}.yaml"
    shown = [path.read_text(encoding="utf-8") for path in (*TEMPLATES, config)]
    code = code_digest("cones.steps.report", *(output.module for output in outputs))
    return f"{code}-{settings_digest([shown, overrides, plan.suite.report.model_dump()])}-{_printed(plan)}"


def _printed(plan: Plan) -> str:
    """Digest of the suite's title and of the labels and blocks of its methods."""
    methods = [(arm, plan.method(arm)) for arm in plan.suite.arms]
    return settings_digest([plan.suite.title, [(arm, method.label, method.block) for arm, method in methods]])
