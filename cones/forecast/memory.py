"""GPU memory that training inside the encoders of a model takes, counted from its shapes: `python -m cones plan`."""

from collections.abc import Iterable
from dataclasses import dataclass

from cones.models.family import FAMILIES

PICTURES, TEXTS = 64, 100  # the batch that is asked about, and what class texts are counted in
TEXT_ROWS = 24  # of a text with 16 learned vectors and a name: encoders cut the rows behind the longest
GPU_BYTES = 24 * 10**9  # of a common GPU, which the plan compares with
FLOAT = 4  # bytes: classifiers train in float32
HEAD = 64  # numbers of a head: attention keeps one more number for each head and row
WORKING = 3  # tensors as wide as the widest that the backward pass holds at once


@dataclass(frozen=True)
class Sequence:
    """A transformer: rows of a picture or of a text, their width, blocks."""

    rows: int
    width: int
    blocks: int

    def kept_bytes(self, *, trains: bool) -> int:
        """What a forward pass of one picture or text keeps for the backward pass, in whole blocks.

        In widths of a row, of a block whose weights are fixed: the inputs of both norms (2), queries, keys and values
        (3), what attention gives (1), the inner layer before QuickGELU and its sigmoid (4 + 4). Where weights train,
        their inputs too: both norms' results (2), the inner layer's (4). Each norm keeps 2 numbers of a row.
        """
        widths = 14 + (6 if trains else 0)
        return FLOAT * self.rows * self.blocks * (widths * self.width + self.width // HEAD + 4)

    def working_bytes(self) -> int:
        return FLOAT * WORKING * self.rows * 4 * self.width


@dataclass(frozen=True)
class Memory:
    """Peak bytes of one training step of a model with `PICTURES` pictures.

    prompts  tokens, pixels or text vectors train: weights are fixed, and their gradients are not kept
    weights  the image encoder trains, with AdamW
    texts    more for every `TEXTS` class texts of `TEXT_ROWS` through a fixed text encoder
    """

    model: str
    prompts: int
    weights: int
    texts: int

    @property
    def fits(self) -> bool:
        return max(self.prompts, self.weights) <= GPU_BYTES


def memory_of(model: str) -> Memory | None:
    """None for a model whose image encoder is no transformer: its shapes are not counted."""
    from cones.models.checkpoints import build_dual_encoder, without_start_values

    with without_start_values():
        encoder = build_dual_encoder(model)
    if encoder.image_width is None:
        return None
    values = {name: value.numel() for name, value in encoder.named_parameters()}
    of_images = sum(count for name, count in values.items() if name.startswith(encoder.image_prefix))
    positions = 1 + (encoder.picture_format.side // encoder.image_patch) ** 2
    image = Sequence(positions, encoder.image_width, encoder.image_blocks)
    text = Sequence(min(TEXT_ROWS, encoder.context_length), encoder.text_width, encoder.text_blocks)
    base = FLOAT * sum(values.values()) + PICTURES * image.working_bytes()
    return Memory(
        model,
        prompts=base + PICTURES * image.kept_bytes(trains=False),
        weights=base + PICTURES * image.kept_bytes(trains=True) + 3 * FLOAT * of_images,  # gradient, two moments
        texts=TEXTS * text.kept_bytes(trains=False),
    )


def memory_inside(models: Iterable[str]) -> list[Memory]:
    """Of the models that are trained inside and are no nano models; these need no GPU."""
    nano = {name for entry in FAMILIES.values() for name in entry.nano}
    found = (memory_of(model) for model in dict.fromkeys(models) if model not in nano)
    return [one for one in found if one is not None]
