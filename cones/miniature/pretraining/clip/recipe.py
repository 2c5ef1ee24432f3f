"""How `clip_nano` is pretrained."""

from dataclasses import dataclass

PAINTED_SIDE = 72  # pixels of a painted picture; the model sees random squares of its own side


@dataclass(frozen=True)
class ClipRecipe:
    """AdamW, linear warm-up, cosine to `final_rate`; decay on matrices only; the gradient's norm is clipped.

    pictures       painted once and kept; training goes over them again and again, each time cropped and weathered anew
    dropped_until  share of the steps in which the image encoder sees `kept_patches` of the patches (FLIP, arXiv
                   2212.00794); all of them after that
    bleached       share of the batches without colour: grey as a whole, or every picture's hue turned at random. No
                   text of such a batch says a colour. Without them colour alone tells most pictures of a batch apart,
                   and the encoder learns no shape
    bleached_by    share of the steps after which `bleached` is reached, rising evenly from none: with all of them from
                   the first step, top-1 was still at chance after 500 steps
    grey           share of the bleached batches that are grey
    validation     steps between two scores on other worlds, which end up in the record
    """

    pictures: int = 48_000
    steps: int = 4_000
    batch_size: int = 64
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.98)
    epsilon: float = 1e-6
    weight_decay: float = 0.1
    warmup_steps: int = 100
    final_rate: float = 0.02  # share of `learning_rate`
    clip_norm: float = 1.0
    kept_patches: float = 0.5
    dropped_until: float = 0.85
    bleached: float = 0.6
    bleached_by: float = 0.4
    grey: float = 0.55
    validation: int = 500
    seed: int = 0


CLIP_NANO = ClipRecipe()
