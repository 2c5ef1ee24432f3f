"""The steps from archives to canonical COCO files: draw, fetch, prepare."""

import functools

from cones.data.providers import Providers
from cones.data.registry import DRAWN
from cones.experiment import digests
from cones.experiment.cell import Plan
from cones.experiment.step import Input, Job, Output, Step


def data_steps(plan: Plan) -> list[Step]:
    data, providers = plan.suite.data_dir, Providers()
    folder, log = f"{data}/{{source}}/{{dataset}}", "logs/data/{source}/{dataset}"
    source = plan.suite.source

    def archives(job: Job) -> dict[str, Input]:
        """The miniature source draws its archives first, into the mirror they are fetched from."""
        if source != DRAWN:
            return {}
        names = [archive.filename for archive in plan.registry[job.dataset].source(DRAWN).archives]
        return {"archives": [Output(Job("draw", dataset=job.dataset, archive=name), "archive") for name in names]}

    @functools.cache  # a folder may hold many files
    def given(job: Job) -> dict:
        return {
            "entry": digests.dataset_entry(plan, source, job.dataset),
            "files": digests.files_given(plan, source, job.dataset),
            "credentials": digests.credentials_missing(plan, providers, source, job.dataset),
        }

    return [
        Step(
            name="draw",
            outputs={"archive": f"{data}/{DRAWN}/mirror/{{dataset}}/{{archive}}"},
            log=f"logs/data/{DRAWN}/{{dataset}}/draw-{{archive}}.log",
            inputs=lambda job: {},
            settings=lambda job: digests.dataset_entry(plan, DRAWN, job.dataset),
        ),
        Step(
            name="fetch",
            outputs={"fetched": f"{folder}/fetch.json"},
            log=f"{log}/fetch.log",
            inputs=archives,
            settings=given,
        ),
        Step(
            name="prepare",
            outputs={
                **{split: f"{folder}/{split}.json" for split in ("train", "val", "test")},
                "manifest": f"{folder}/manifest.json",
            },
            log=f"{log}/prepare.log",
            inputs=lambda job: {"fetched": Output(Job("fetch", dataset=job.dataset), "fetched")},
            settings=lambda job: digests.dataset_entry(plan, source, job.dataset),
        ),
    ]
