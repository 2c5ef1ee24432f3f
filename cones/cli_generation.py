"""`python -m cones generation encode | learn | draw | score | join`: a subject from its pictures to its numbers."""

import json
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Personalised generation with Stable Diffusion: each step of a subject's cell by hand.",
)

SuiteOption = Annotated[str, typer.Option("--suite", envvar="CONES_SUITE", help="config/<suite>.yaml")]
SetOption = Annotated[str, typer.Option("--set", envvar="CONES_SET", help="JSON laid over the suite's config")]
ModelOption = Annotated[str, typer.Option("--model", help="sd15, or sd_nano")]
PathOption = Annotated[
    Path | None, typer.Option("--path", help="the model's directory; else variable, cache, download")
]
DownloadOption = Annotated[bool, typer.Option("--allow-download", help="fetch what is neither given nor cached")]
SubjectOption = Annotated[str, typer.Option("--subject", help="such as dog6")]
ArmOption = Annotated[str, typer.Option("--arm", help="the name of the row; a method's key, or one of your own")]
SeedOption = Annotated[int, typer.Option("--seed")]


def _world(suite: str, overrides: str, model: str, path: Path | None, download: bool, *, text: bool):
    from cones.cell import Plan
    from cones.steps.generation import World

    return World.open(Plan.load(suite, json.loads(overrides)), model, path=path, text=text, allow_download=download)


@app.command()
def encode(
    model: ModelOption = "sd15",
    path: PathOption = None,
    download: DownloadOption = False,
    suite: SuiteOption = "paper",
    overrides: SetOption = "{}",
) -> None:
    """Say the empty prompt and the class nouns to the text encoder, once per model."""
    from cones.steps.generation import encode_nouns

    encode_nouns(_world(suite, overrides, model, path, download, text=True))


@app.command()
def learn(
    subject: SubjectOption,
    method: Annotated[str, typer.Option("--method", help="zero_shot, textual_inversion or cones")],
    arm: ArmOption = "",
    seed: SeedOption = 0,
    settings: Annotated[str, typer.Option("--settings", help="JSON of the protocol: tokens, mode, steps, …")] = "{}",
    model: ModelOption = "sd15",
    path: PathOption = None,
    download: DownloadOption = False,
    suite: SuiteOption = "paper",
    overrides: SetOption = "{}",
) -> None:
    """Learn one subject with one method; an interrupted run goes on where it was."""
    from cones.errors import ConesError, closest
    from cones.methods import METHODS
    from cones.models.stable_diffusion.settings import SubjectTuning
    from cones.steps.generation import learn_subject
    from cones.strict import parse

    if method not in METHODS:
        raise ConesError("no such method", found=method, next_step=closest(method, METHODS))
    tuning = parse(SubjectTuning, json.loads(settings), where="--settings")
    world = _world(suite, overrides, model, path, download, text="text_encoder" in METHODS[method].inputs)
    learn_subject(world, world.cell(subject, arm or method, seed), world.subject(subject), method, tuning)


@app.command()
def draw(
    subject: SubjectOption,
    arm: ArmOption,
    track: Annotated[str, typer.Option("--track", help="reconstruction, or editing (25 prompts)")] = "reconstruction",
    pictures: Annotated[
        int | None, typer.Option("--pictures", min=1, help="per prompt; else 16, or 4 in editing")
    ] = None,
    seed: SeedOption = 0,
    model: ModelOption = "sd15",
    path: PathOption = None,
    download: DownloadOption = False,
    suite: SuiteOption = "paper",
    overrides: SetOption = "{}",
) -> None:
    """Draw a learnt subject."""
    from cones.errors import ConesError, closest
    from cones.steps.generation import TRACKS, draw_subject

    if track not in TRACKS:
        raise ConesError("no such track", found=track, next_step=closest(track, TRACKS))
    world = _world(suite, overrides, model, path, download, text=False)
    draw_subject(world, world.cell(subject, arm, seed), world.subject(subject), track, pictures)


@app.command()
def score(
    subject: SubjectOption,
    arm: ArmOption,
    seed: SeedOption = 0,
    model: ModelOption = "sd15",
    path: PathOption = None,
    download: DownloadOption = False,
    suite: SuiteOption = "paper",
    overrides: SetOption = "{}",
) -> None:
    """Measure the drawn pictures: CLIP and DINO, or the icon classifier for sd_nano."""
    from cones.steps.generation import score_subject

    world = _world(suite, overrides, model, path, download, text=False)
    score_subject(world, world.cell(subject, arm, seed), world.subject(subject))


@app.command()
def join(model: ModelOption = "sd15", seed: SeedOption = 0, suite: SuiteOption = "paper") -> None:
    """Means over all scored subjects with bootstrap intervals, and paired differences of the arms."""
    from cones.steps.generation import join_subjects

    print(f"written: {join_subjects(suite, model, seed)}")
