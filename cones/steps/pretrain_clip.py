"""Step `pretrain` for `clip_nano`: paint its pictures, train it from random weights, write its weights and record."""

from pathlib import Path

import torch

from cones.data.registry import load_registry
from cones.miniature.pretraining.clip.pictures import painted_pictures
from cones.miniature.pretraining.clip.recipe import CLIP_NANO
from cones.miniature.pretraining.clip.scores import scores_of
from cones.miniature.pretraining.clip.training import ContrastivePretrainer
from cones.miniature.pretraining.record import record_of
from cones.models.checkpoints import tokenizer_for
from cones.runtime.artifacts import save_tensors, write_json
from cones.runtime.determinism import make_deterministic

NAME = "clip_nano"
SETS = "config/datasets/classification_miniature.yaml"


def pretrain_clip(folder: Path) -> None:
    """Writes `<folder>/clip_nano.safetensors` and `clip_nano.json`; an interrupted run goes on where it was."""
    make_deterministic(torch.device("cpu"))
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    recipe, checkpoint = CLIP_NANO, folder / f"{NAME}.resume.pt"
    cache = folder / f"{NAME}.pictures.npy"
    trainer = ContrastivePretrainer(
        model=NAME,
        recipe=recipe,
        pictures=painted_pictures(recipe.seed, recipe.pictures, cache),
        tokenizer=tokenizer_for(NAME),
        checkpoint=checkpoint,
    )
    run = trainer.run()
    weights = folder / f"{NAME}.safetensors"
    state = {name: value.half() for name, value in trainer.model.state_dict().items()}
    trainer.model.load_state_dict(state)  # what is shipped is what is scored: the values of half precision
    scores = {name: scores_of(trainer.model, tokenizer_for(NAME), entry) for name, entry in load_registry(SETS).items()}
    digest = save_tensors(weights, state, {"recipe": f"python -m cones pretrain {NAME}"})
    record = record_of(NAME, weights, digest, trainer, run, recipe, drawn_sets=scores)
    write_json(folder / f"{NAME}.json", record)
    checkpoint.unlink(missing_ok=True)
    cache.unlink(missing_ok=True)
