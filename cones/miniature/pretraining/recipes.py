"""How each model of the miniature world is pretrained. One recipe, four amounts of data (the paper's Table 9)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """AdamW, linear warm-up, cosine to `final_rate`; decay on matrices only; the text encoder learns along.

    images      scenes seen, each once
    sentences   share of the scenes that are described by a sentence instead of a list of names
    masks       whether objects carry masks; their boxes are then those of what is visible, as in COCO
    validation  scenes between two scores on other scenes (`validation.py`), which end up in the record; None: no
                scores. A multiple of `batch_size`
    """

    images: int
    sentences: float
    masks: bool = False
    validation: int | None = None
    batch_size: int = 4
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.05
    warmup_steps: int = 100
    final_rate: float = 0.02  # share of `learning_rate`
    clip_norm: float = 1.0
    seed: int = 0


RECIPES: dict[str, Recipe] = {
    "glip_nano": Recipe(images=40_000, sentences=0.3),
    "glip_nano_a": Recipe(images=10_000, sentences=0.0),  # as GLIP-T (A): no deep fusion, no sentences
    "glip_nano_b": Recipe(images=10_000, sentences=0.0),  # as GLIP-T (B): the same with deep fusion
    "glip_nano_c": Recipe(images=20_000, sentences=0.3),  # as GLIP-T (C): and sentences
    "uninext_nano": Recipe(images=32_000, sentences=0.3, masks=True),
    # learns about three times more slowly than uninext_nano, which has denoising queries and a class-free box proposal
    "grounding_dino_nano": Recipe(images=80_000, sentences=0.3, validation=4_000),
}
