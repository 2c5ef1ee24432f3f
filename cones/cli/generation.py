"""`python -m cones generation find | encode | look | learn | draw | score`: the steps of personalised generation."""

from pathlib import Path
from typing import Annotated

import typer

from cones.cli.options import SeedOption, SetOption, SuiteOption, load_plan, recorded

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Personalised generation with Stable Diffusion: the steps that the workflow calls, each by hand too.",
)

SubjectOption = Annotated[str, typer.Option("--subject", help="such as dog6")]
ArmOption = Annotated[str, typer.Option("--arm", help="an arm of the suite's `generation`")]


def _generation_run(suite: str, overrides: str):
    from cones.steps.generation import GenerationRun

    return GenerationRun(load_plan(suite, overrides))


@app.command()
def find(
    name: Annotated[str, typer.Argument(help="sd15, clip_metric, dino_metric or sd_nano")],
    path: Annotated[Path | None, typer.Option("--path", help="its directory; else variable, cache, download")] = None,
    download: Annotated[bool, typer.Option("--allow-download", help="fetch what is neither given nor cached")] = False,
    suite: SuiteOption = "miniature",
    overrides: SetOption = "{}",
) -> None:
    """Find a pretrained model once, and record where it is and what its files hold."""
    from cones.steps.generation import find_model

    with recorded(load_plan(suite, overrides), "find_pretrained", name=name):
        find_model(name, path=path, allow_download=download)


@app.command()
def encode(suite: SuiteOption = "miniature", overrides: SetOption = "{}") -> None:
    """Encode the empty prompt and the class nouns with the text encoder, once per model."""
    from cones.steps.generation import encode_nouns

    run = _generation_run(suite, overrides)
    with recorded(run.plan, "encode_nouns"):
        encode_nouns(run)


@app.command()
def look(suite: SuiteOption = "miniature", overrides: SetOption = "{}") -> None:
    """Extract the features of all subjects' real pictures, with which every score compares."""
    from cones.steps.generation import look_at_real_pictures

    run = _generation_run(suite, overrides)
    with recorded(run.plan, "look_at_real_pictures"):
        look_at_real_pictures(run)


@app.command()
def learn(
    subject: SubjectOption,
    arm: ArmOption,
    seed: SeedOption = 0,
    suite: SuiteOption = "miniature",
    overrides: SetOption = "{}",
) -> None:
    """Learn one subject; an interrupted run goes on where it was."""
    from cones.steps.generation import learn_subject

    run = _generation_run(suite, overrides)
    cell = run.plan.subject_cell(subject, arm, seed)
    with recorded(run.plan, "learn_subject", subject=subject, arm=arm, seed=seed) as made_of:
        learn_subject(run, cell, identity=made_of)


@app.command()
def draw(
    subject: SubjectOption,
    arm: ArmOption,
    seed: SeedOption = 0,
    suite: SuiteOption = "miniature",
    overrides: SetOption = "{}",
) -> None:
    """Draw a learnt subject, on each track of the suite."""
    from cones.steps.generation import draw_subject

    run = _generation_run(suite, overrides)
    cell = run.plan.subject_cell(subject, arm, seed)
    with recorded(run.plan, "draw_subject", subject=subject, arm=arm, seed=seed):
        draw_subject(run, cell)


@app.command()
def score(
    subject: SubjectOption,
    arm: ArmOption,
    seed: SeedOption = 0,
    suite: SuiteOption = "miniature",
    overrides: SetOption = "{}",
) -> None:
    """Measure the drawn pictures: CLIP and DINO, or the icon classifier for sd_nano."""
    from cones.steps.generation import score_subject

    run = _generation_run(suite, overrides)
    cell = run.plan.subject_cell(subject, arm, seed)
    with recorded(run.plan, "score_subject", subject=subject, arm=arm, seed=seed):
        score_subject(run, cell)
