# ConES, the whole experiment: snakemake --cores all
# Its main table alone: snakemake --cores all results/table1.csv
# Another world: snakemake --cores all results/table1.csv --config suite=paper   (targets go before --config)
import gc
import os
import re
import sys
import time

from snakemake.utils import min_version

min_version("9.27")
gc.set_threshold(200_000, 50, 50)  # a large grid is millions of objects, no garbage
sys.path.insert(0, workflow.basedir)

from cones.analysis.files import EFFICIENCY, FILES_OF, PUBLISHED, SHOWN
from cones.cell import settings_digest
from cones.config import BOXES_GRID, MAIN_GRID
from cones.experiment import digests
from cones.provenance import code_digest
from cones.tables.files import (
    ALL_TABLES,
    DATASETS,
    METHOD_GRIDS,
    TABLE7,
    TABLES_OF,
    files_of,
)
from workflow.ancient_inputs import plan_behind_ancient_inputs
from workflow.context import Context
from workflow.rate_limit import drop_default_rate_limit
from workflow.stale_lock import remove_stale_lock

remove_stale_lock()
plan_behind_ancient_inputs()
started = time.time()
context = Context.from_config(config)
plan = context.plan
context.export(is_main=workflow.is_main_process)


wildcard_constraints:
    suite=plan.suite.suite,
    source=plan.suite.source,
    model="|".join(plan.suite.models),
    dataset="|".join(plan.suite.all_datasets),
    arm="|".join(map(re.escape, plan.suite.arms)),
    seed=r"\d+",
    table="|".join([*ALL_TABLES, DATASETS, *PUBLISHED]),
    figure="|".join(SHOWN),
    name="[A-Za-z0-9_-]+",


# one thread per job unless a rule says otherwise: small models are fastest that way, several side by side
os.environ.setdefault("OMP_NUM_THREADS", "1")


rule all:
    default_target: True
    input:
        context.targets(),
        "results/report.html" if MAIN_GRID in plan.suite.grids else [],


include: "workflow/rules/data.smk"
include: "workflow/rules/checkpoints.smk"
include: "workflow/rules/text.smk"
include: "workflow/rules/features.smk"
include: "workflow/rules/tune.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/analyse.smk"


if plan.suite.generation:

    include: "workflow/rules/generate.smk"


if MAIN_GRID in plan.suite.grids:

    include: "workflow/rules/report.smk"


onstart:
    drop_default_rate_limit(workflow.scheduler)


onsuccess:
    shell(f"python -m cones finish --since {started}")


onerror:
    shell("python -m cones finish --failed")
