"""Step `pretrain`: train a nano model from random weights, and write its weights and their record."""

from pathlib import Path

import torch

from cones.data.registry import load_registry
from cones.miniature.natural import PAINTERS
from cones.miniature.pretraining.recipes import RECIPES
from cones.miniature.pretraining.record import record_of
from cones.miniature.pretraining.scores import zero_shot_ap
from cones.miniature.pretraining.training import Pretrainer
from cones.models.generators import SHIPPED as SD_NANO
from cones.runtime.artifacts import save_tensors, write_json
from cones.runtime.determinism import make_deterministic
from cones.runtime.errors import ConesError, closest
from cones.runtime.progress import log

CLIP_NANO = "clip_nano"
SCORED = ("aquarium", *sorted(PAINTERS))
SCORED_WITH_MASKS = ("cityscapes", "dfuc2022", "kvasir_seg")


def pretrain(model: str, folder: Path) -> None:
    """Writes `<folder>/<model>.safetensors` and `<model>.json`; an interrupted run goes on where it was.

    `sd_nano` is no detector: a pipeline directory of its own (`cones/steps/pretrain_diffusion.py`); nor is `clip_nano`,
    which learns to tell which text belongs to which picture (`cones/steps/pretrain_clip.py`).
    """
    if model == CLIP_NANO:
        from cones.steps.pretrain_clip import pretrain_clip

        return pretrain_clip(folder)
    if model == SD_NANO:
        from cones.steps.pretrain_diffusion import pretrain_diffusion

        return pretrain_diffusion(folder)
    if model not in RECIPES:
        raise ConesError(
            f'there is no recipe for a model "{model}"',
            where="python -m cones pretrain",
            next_step=closest(model, [*RECIPES, SD_NANO, CLIP_NANO]),
        )
    make_deterministic(torch.device("cpu"))
    torch.set_num_threads(1)
    recipe, checkpoint = RECIPES[model], folder / f"{model}.resume.pt"
    trainer = Pretrainer(model=model, recipe=recipe, checkpoint=checkpoint)
    run = trainer.run()
    weights = folder / f"{model}.safetensors"
    digest = save_tensors(weights, trainer.shipped_state(), {"recipe": f"python -m cones pretrain {model}"})
    registry = load_registry()
    scores = {}
    for dataset in SCORED + (SCORED_WITH_MASKS if trainer.detector.predicts_masks else ()):
        scores[dataset] = zero_shot_ap(model, trainer.detector, trainer.text_encoder, registry[dataset])
        log.info("%s: %s", dataset, scores[dataset])
    record = record_of(model, weights, digest, trainer, run, recipe, zero_shot=scores)
    write_json(folder / f"{model}.json", record)
    checkpoint.unlink(missing_ok=True)
