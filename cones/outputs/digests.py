"""What decides whether a table, a figure or the report is made again: its code, and how methods are printed."""

from cones.experiment.cell import Plan
from cones.experiment.outputs import Output, outputs_of
from cones.experiment.suite import CONFIG_FOLDER
from cones.outputs.report.files import TEMPLATES
from cones.runtime.provenance import code_digest, settings_digest


def collect(plan: Plan, grid: str) -> str:
    """The code that lists the cells of a grid, and the blocks in which tables show its methods."""
    _, _, arms = plan.suite.grid(grid)
    blocks = {arm: plan.method(arm).block for arm in arms}
    return f"{code_digest('cones.steps.collect')}-{settings_digest(blocks)}"


def output(plan: Plan, output: Output) -> str:
    """The code of a table or figure and of what it reads, and how the suite's methods are printed."""
    return f"{code_digest('cones.outputs.make', output.module, output.reading_module)}-{_printed(plan)}"


def report(plan: Plan, overrides: dict) -> str:
    """The code and templates of the report and of what it shows, and of the config the suite's file and overrides."""
    outputs, config = outputs_of(plan.suite.parts), CONFIG_FOLDER / f"{plan.suite.suite}.yaml"
    shown = [path.read_text(encoding="utf-8") for path in (*TEMPLATES, config)]
    code = code_digest("cones.steps.report", *(output.module for output in outputs))
    return f"{code}-{settings_digest([shown, overrides])}-{_printed(plan)}"


def _printed(plan: Plan) -> str:
    """Title of the suite, and what tables say of its methods."""
    methods = [(arm, plan.method(arm)) for arm in plan.suite.arms]
    return settings_digest([plan.suite.title, [(arm, method.label, method.block) for arm, method in methods]])
