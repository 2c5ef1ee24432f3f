"""Preparations before Snakemake parses the rules: for a plan, for a run, and for each of its jobs."""

import gc
import os

from snakemake.workflow import Workflow

from workflow.ancient_inputs import plan_behind_ancient_inputs
from workflow.context import Context
from workflow.stale_lock import remove_stale_lock
from workflow.stale_results import make_again


def begin(workflow: Workflow, config: dict) -> Context:
    """The context of the rules; a mistake in the config ends this process with a one-line message."""
    gc.set_threshold(200_000, 50, 50)  # a large grid is millions of objects that stay: looking for garbage is in vain
    if workflow.is_main_process:  # not a process that Snakemake starts for one job, maybe on another machine
        remove_stale_lock()
    plan_behind_ancient_inputs()
    # one thread per job unless a rule says otherwise: small models are fastest that way, several side by side
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    context = Context.from_config(config, is_main=workflow.is_main_process)
    context.export()
    if workflow.is_main_process:
        make_again(context.stale_files())
    return context
