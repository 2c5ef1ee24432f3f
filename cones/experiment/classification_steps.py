"""The steps of classification: image features of a model and dataset, a network trained without labels; then a cell."""

from cones.experiment.cell import Cell, Plan
from cones.experiment.cell_steps import CELL, cell_of, job_of_cell
from cones.experiment.classification_cells import (
    POSITIONS,
    datasets_read,
    feature_kinds,
    joint_of,
    method_of,
    settings_of,
    sources_of,
    stage1_of,
)
from cones.experiment.step import Input, Job, Output, Step

KINDS = ("pooled", *POSITIONS, "views")  # of stored image features; each has a file of its own


def classification_steps(plan: Plan) -> list[Step]:
    """The steps of a suite that classifies; the wildcard `dataset` of a cell is a setting, such as dtd-16shot."""

    def manifest(dataset: str) -> Output:
        return Output(Job("prepare", dataset=dataset), "manifest")

    def weights(model: str) -> dict[str, Input]:
        return {"weights": Output(Job("weights", weights=plan.weights(model).stem), "weights")}

    def features(cell: Cell) -> dict[str, Input]:
        """The stored features that a cell reads: of its own dataset all kinds, of its targets those of test images."""
        own, *further = datasets_read(plan, cell)
        kinds = feature_kinds(plan, cell)
        files: dict[str, Input] = {
            kind: Output(Job("encode_images", model=cell.model, dataset=own, name=kind), "features") for kind in kinds
        }
        for kind in kinds if further else ():
            if kind != "views":
                files[f"target_{kind}"] = [
                    Output(Job("encode_images", model=cell.model, dataset=target, name=kind), "features")
                    for target in further
                ]
        return files

    def cell_inputs(job: Job) -> dict[str, Input]:
        cell = cell_of(plan, job)
        targets = datasets_read(plan, cell)
        files = weights(cell.model) | {"manifests": [manifest(dataset) for dataset in targets]} | features(cell)
        if "self_supervised" in method_of(plan, cell.arm).features:
            files["self_supervised"] = [
                Output(Job("self_supervise", dataset=dataset), "features") for dataset in targets[:1]
            ]
        if (first := stage1_of(plan, cell)) is not None:
            files["stage1"] = Output(job_of_cell("classify", first), "state")
        if (joint := joint_of(plan, cell)) is not None:
            files["joint"] = Output(job_of_cell("classify", joint), "state")
        if sources := sources_of(plan, cell):
            files["sources"] = [Output(job_of_cell("classify", one), "state") for one in sources]
        return files

    def classify_settings(job: Job) -> dict:
        return settings_of(plan, cell_of(plan, job))

    return [
        Step(
            name="encode_images",
            outputs={"features": "features/{suite}/{model}/{dataset}/{name}.safetensors"},
            log="logs/{suite}/{model}/{dataset}/encode-{name}.log",
            inputs=lambda job: weights(job.model) | {"manifest": manifest(job.dataset)},
            settings=lambda job: None,
        ),
        Step(
            name="self_supervise",
            outputs={"features": "features/{suite}/self_supervised/{dataset}.safetensors"},
            log="logs/{suite}/self_supervised/{dataset}.log",
            inputs=lambda job: {"manifest": manifest(job.dataset)},
            settings=lambda job: None,
        ),
        Step(
            name="classify",
            outputs={
                "state": f"results/{CELL}/state.safetensors",
                **{name: f"results/{CELL}/{name}.json" for name in ("tuning", "predictions", "metrics", "run")},
            },
            log=f"logs/{CELL}/classify.log",
            inputs=cell_inputs,
            settings=classify_settings,
        ),
    ]
