"""The steps of a detector: its base weights, text states, image features; tuning, scoring and embedding a
cell; a picture of its predictions beside those of others."""

import os

from cones.experiment import digests
from cones.experiment.cell import Cell, Plan
from cones.experiment.step import Input, Job, Output, Step
from cones.weights.official import needed
from cones.weights.shipped import shipped

CELL = "{suite}/{model}/{dataset}/{arm}/seed{seed}"


def job_of_cell(step: str, cell: Cell) -> Job:
    return Job(step, model=cell.model, dataset=cell.dataset, arm=cell.arm, seed=cell.seed)


def weights_steps(plan: Plan) -> list[Step]:
    def model_of(job: Job) -> str:
        return digests.model_of(plan, job.weights)

    def weights_inputs(job: Job) -> dict[str, Input]:
        model = model_of(job)
        if plan.suite.all_models[model].initial_seed is None and (files := shipped(model)):
            return {"shipped": [os.path.relpath(path) for path in files]}
        return {"official": [Output(Job("checkpoint", name=name), "record") for name in needed(plan.suite, [model])]}

    return [
        Step(
            name="checkpoint",
            outputs={"record": "checkpoints/official/{name}.json"},
            log="logs/checkpoints/official-{name}.log",
            inputs=lambda job: {},
            settings=lambda job: {"file": digests.official_file(job.name)},
        ),
        Step(
            name="weights",
            outputs={"weights": "checkpoints/{weights}.safetensors"},
            log="logs/checkpoints/{weights}.log",
            inputs=weights_inputs,
            settings=lambda job: {"initial_seed": plan.suite.all_models[model_of(job)].initial_seed},
        ),
    ]


def cell_steps(plan: Plan) -> list[Step]:
    def of_model(job: Job) -> dict[str, Input]:
        """The base weights and the dataset's manifest, which every step of a model and dataset reads."""
        return {
            "weights": Output(Job("weights", weights=plan.weights(job.model).stem), "weights"),
            "manifest": Output(Job("prepare", dataset=job.dataset), "manifest"),
        }

    def image_features(job: Job) -> dict[str, Input]:
        """The index of the image features a cell may share. Ancient: a cell computes what it does not find there, to
        the same bits."""
        if plan.features_of(cell_of(plan, job)) is None:
            return {}
        return {"features": Output(Job("features", model=job.model, dataset=job.dataset), "index", ancient=True)}

    def tune_inputs(job: Job) -> dict[str, Input]:
        """The files that the method's registry entry names, and what a random start is measured on."""
        method, files = plan.method(job.arm), of_model(job)
        inputs = plan.inputs_of(cell_of(plan, job))
        if "text_states" in inputs:
            files["text"] = Output(Job("text_states", model=job.model, dataset=job.dataset), "text")
        for name, cell in plan.cells_before(cell_of(plan, job)).items():
            first = job_of_cell("tune", cell)
            files |= {name: Output(first, "state"), f"{name}_record": Output(first, "record")}
        return files | (image_features(job) if method.is_tuned else {})

    def tuned(job: Job) -> dict[str, Input]:
        """The tuned state of the cell, with the base weights and dataset it is used with."""
        tune = job_of_cell("tune", cell_of(plan, job))
        return {"state": Output(tune, "state"), "record": Output(tune, "record"), **of_model(job)}

    def elsewhere(job: Job) -> dict[str, Input]:
        """The tuned state of a cell, and of every other dataset its test split and class names."""
        names = plan.scored_elsewhere(cell_of(plan, job))
        prepared = [Job("prepare", dataset=name) for name in names]
        return tuned(job) | {
            "manifests": [Output(other, "manifest") for other in prepared],
            "tests": [Output(other, "test") for other in prepared],
            "texts": [Output(Job("text_states", model=job.model, dataset=name), "text") for name in names],
        }

    def shown(job: Job) -> dict[str, Input]:
        """The detections and scores of the cells that stand side by side, and the test split they are of."""
        jobs = [job_of_cell("evaluate", cell) for cell in shown_cells(plan, job.model, job.dataset)]
        prepared = Job("prepare", dataset=job.dataset)
        return {
            "predictions": [Output(scored, "predictions") for scored in jobs],
            "metrics": [Output(scored, "metrics") for scored in jobs],
            "test": Output(prepared, "test"),
            "manifest": Output(prepared, "manifest"),
        }

    known: dict[tuple, dict] = {}

    def settings(job: Job) -> dict:
        """Settings of a cell, computed once for all datasets and seeds that do not change them."""
        place = plan.place_of_settings(cell_of(plan, job))
        if place not in known:
            method = {"method_entry": plan.method(job.arm).of_cells}
            known[place] = plan.settings(cell_of(plan, job)).model_dump(mode="json") | method
        return known[place]

    return [
        Step(
            name="text_states",
            outputs={"text": "results/{suite}/{model}/{dataset}/text.safetensors"},
            log="logs/{suite}/{model}/{dataset}/text.log",
            inputs=of_model,
            settings=lambda job: {"prompts": plan.suite.prompts},
        ),
        Step(
            name="features",
            # the index of the .bin beside it, which may be deleted
            outputs={"index": "features/{suite}/{model}/{dataset}.json"},
            log="logs/{suite}/{model}/{dataset}/features.log",
            inputs=of_model,
            settings=lambda job: digests.shared_views(plan, job.model, job.dataset),
        ),
        Step(
            name="tune",
            outputs={"state": f"results/{CELL}/state.safetensors", "record": f"results/{CELL}/tuning.json"},
            log=f"logs/{CELL}/tune.log",
            inputs=tune_inputs,
            settings=settings,
        ),
        Step(
            name="evaluate",
            outputs={name: f"results/{CELL}/{name}.json" for name in ("metrics", "predictions", "run")},
            log=f"logs/{CELL}/evaluate.log",
            inputs=lambda job: tuned(job) | image_features(job),
            settings=settings,
        ),
        Step(
            name="elsewhere",
            outputs={"scores": f"results/{CELL}/elsewhere.json"},
            log=f"logs/{CELL}/elsewhere.log",
            inputs=elsewhere,
            settings=lambda job: {"datasets": plan.scored_elsewhere(cell_of(plan, job)), "cell": settings(job)},
        ),
        Step(
            name="embed",
            outputs={"embeddings": f"results/{CELL}/embeddings.safetensors"},
            log=f"logs/{CELL}/embed.log",
            inputs=tuned,
            settings=lambda job: {
                "boxes": plan.compares_boxes(cell_of(plan, job)),
                "prompts": plan.suite.prompts,
                "test_short_side": plan.suite.models[job.model].test_short_side,
                "pictures": plan.suite.pictures,
            },
        ),
        Step(
            name="preview",
            outputs={"picture": "results/{suite}/{model}/{dataset}/predictions.png"},
            log="logs/{suite}/{model}/{dataset}/preview.log",
            inputs=shown,
            settings=lambda job: {"title": plan.suite.title, "pictures": plan.suite.pictures},
        ),
    ]


def shown_cells(plan: Plan, model: str, dataset: str) -> list[Cell]:
    """The cells whose predictions on a dataset are shown side by side: those of the first grid that has any, each arm
    with its first seed there, in the order of the arms."""
    for grid in plan.suite.grids:
        cells = [cell for cell in plan.cells(grid) if (cell.model, cell.dataset) == (model, dataset)]
        if cells:
            return [cell for cell in cells if cell.seed == plan.suite.seeds_of(grid, cell.arm)[0]]
    return []


def cell_of(plan: Plan, job: Job) -> Cell:
    return Cell(plan.suite.suite, job.model, job.dataset, job.arm, job.seed)
