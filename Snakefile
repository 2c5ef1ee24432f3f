# The whole experiment: snakemake --cores all
# Its main table alone: snakemake --cores all results/table1.csv
# Another suite (targets go before --config): snakemake --cores all results/table1.csv --config suite=paper
import re
import sys

from snakemake.utils import min_version

min_version("9.27")
sys.path.insert(0, workflow.basedir)

from cones.experiment import digests
from cones.outputs import digests as output_digests
from cones.experiment.outputs import OUTPUTS
from cones.runtime.provenance import code_digest
from workflow.begin import begin
from workflow.context import one_of
from workflow.rate_limit import drop_default_rate_limit

context = begin(workflow, config)
plan, steps = context.plan, context.pipeline.steps


wildcard_constraints:
    suite=plan.suite.suite,
    source=plan.suite.source,
    model=one_of(plan.suite.models),
    dataset=one_of(plan.suite.all_datasets),
    arm=one_of(plan.suite.arms),
    seed=r"\d+",
    table=one_of(OUTPUTS),
    figure=one_of(figure for output in OUTPUTS.values() for figure in output.figures),
    name="[A-Za-z0-9_-]+",
    weights=one_of(plan.weights(model).stem for model in plan.suite.all_models),


rule all:
    default_target: True
    input:
        context.targets(),


include: "workflow/rules/data.smk"
include: "workflow/rules/checkpoints.smk"
include: "workflow/rules/text.smk"
include: "workflow/rules/features.smk"
include: "workflow/rules/tune.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/preview.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/analyse.smk"


if plan.suite.generation:

    include: "workflow/rules/generate.smk"


if plan.suite.classification:

    include: "workflow/rules/classify.smk"


if context.has_report:

    include: "workflow/rules/report.smk"


onstart:
    drop_default_rate_limit(workflow.scheduler)


onsuccess:
    shell(f"python -m cones finish --since {context.started}")


onerror:
    shell("python -m cones finish --failed")
