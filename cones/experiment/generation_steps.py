"""The steps of personalised generation: find models, encode nouns, real pictures' features; learn, draw, score."""

import os

from cones.experiment import digests
from cones.experiment.cell import Plan
from cones.experiment.step import Input, Job, Output, Step
from cones.methods.method import METHODS
from cones.weights.shipped import FOLDER


def find_step() -> Step:
    """The step that finds a pretrained model, once for all suites."""

    def shipped(job: Job) -> dict[str, Input]:
        """The files of a generator that ships with the project; empty for another."""
        files = sorted(path for path in (FOLDER / job.name).rglob("*") if path.is_file())
        return {"shipped": [os.path.relpath(path) for path in files]} if files else {}

    return Step(
        name="find_pretrained",
        outputs={"record": "checkpoints/pretrained/{name}.json"},
        log="logs/checkpoints/pretrained-{name}.log",
        inputs=shipped,
        settings=lambda job: {"given": digests.pretrained_given(job.name)},
    )


def generation_steps(plan: Plan) -> list[Step]:
    """The steps of a suite that draws pictures; their rules have the wildcards subject, arm and seed."""
    generation = plan.generation
    shared = f"{{suite}}/{generation.model}/{generation.dataset}"
    subject = f"{shared}-{{subject}}/{{arm}}/seed{{seed}}"

    def settings(job: Job) -> dict:
        method = {"method_entry": METHODS[generation.method(job.arm)].of_cells}
        return generation.settings(job.arm).model_dump(mode="json") | method

    def of_subject(step: str, job: Job, key: str) -> Output:
        return Output(Job(step, subject=job.subject, arm=job.arm, seed=job.seed), key)

    model = {"model": Output(Job("find_pretrained", name=generation.model), "record")}
    measures = {"models": [Output(Job("find_pretrained", name=name), "record") for name in generation.pretrained]}
    pictures = {"manifest": Output(Job("prepare", dataset=generation.dataset), "manifest")}
    nouns = {"nouns": Output(Job("encode_nouns"), "text")}

    def stage1(job: Job) -> dict[str, Input]:
        """The concept embedding that the arm fixes, if it does."""
        if not generation.has_stage1(job.arm):
            return {}
        first = Job("learn_subject", subject=job.subject, arm=generation.arms[job.arm].stage1, seed=job.seed)
        return {"stage1": Output(first, "state"), "stage1_record": Output(first, "record")}

    def learnt(job: Job) -> dict[str, Input]:
        return {key: of_subject("learn_subject", job, key) for key in ("state", "record")}

    def drawn(job: Job) -> dict[str, Input]:
        return {key: of_subject("draw_subject", job, key) for key in (*generation.pictures, "drawing")}

    return [
        Step(
            name="encode_nouns",
            outputs={"text": f"results/{shared}/text.safetensors"},
            log=f"logs/{shared}/encode.log",
            inputs=lambda job: model | pictures,
            settings=lambda job: None,
        ),
        Step(
            name="look_at_real_pictures",
            outputs={"real": f"results/{shared}/real.safetensors"},
            log=f"logs/{shared}/look.log",
            inputs=lambda job: measures | pictures,
            settings=lambda job: None,
        ),
        Step(
            name="learn_subject",
            outputs={"state": f"results/{subject}/state.safetensors", "record": f"results/{subject}/tuning.json"},
            log=f"logs/{subject}/learn.log",
            inputs=lambda job: model | pictures | nouns | stage1(job),
            settings=settings,
        ),
        Step(
            name="draw_subject",
            outputs={
                **{track: f"results/{subject}/images/{track}/prompts.json" for track in generation.pictures},
                "drawing": f"results/{subject}/drawing.json",
            },
            log=f"logs/{subject}/draw.log",
            inputs=lambda job: model | nouns | learnt(job),
            settings=lambda job: {**settings(job), "pictures": generation.pictures},
        ),
        Step(
            name="score_subject",
            outputs={"metrics": f"results/{subject}/metrics.json", "run": f"results/{subject}/run.json"},
            log=f"logs/{subject}/score.log",
            inputs=lambda job: {
                **drawn(job),
                **learnt(job),
                "real": Output(Job("look_at_real_pictures"), "real"),
                **measures,
            },
            settings=lambda job: {"pictures": generation.pictures},
        ),
    ]
