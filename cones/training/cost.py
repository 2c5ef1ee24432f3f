"""Parameter counts of a method: as they are used, and by the convention of the paper's Table 1."""

from dataclasses import dataclass

from torch import nn

from cones.methods.prompts import Prompt
from cones.models.detector import GroundedDetector

PAPER_ROWS = 256  # the paper counts a full table of 256 language positions, of which only K x N rows are used


@dataclass(frozen=True)
class ParameterCounts:
    """trained: values the optimiser changes; total: values of the whole system; text_encoder: its share."""

    trained: int
    total: int
    text_encoder: int


def count_parameters(
    model: GroundedDetector, prompt: Prompt, trained: dict[str, nn.Parameter], *, text_encoder: int, fixed_rows: int
) -> dict[str, ParameterCounts]:
    """The parameter counts of a tuned cell by both conventions: `{"used": …, "paper": …}`.

    text_encoder  values of the encoder that the method uses, 0 for ConES (it need not be in memory: a frozen encoder's
                  output comes from a file, yet the paper counts it)
    fixed_rows    language rows that are stored but do not train (stage 2), else 0

    Other parameters of a prompt, such as a small network, count in the total; its `text_encoder` counts apart.
    The paper's convention counts learnable or fixed vectors as a table of 256 rows.
    """
    width = model.text_width
    vectors = getattr(prompt, "vectors", None)
    rows = vectors.numel() // width if vectors is not None else fixed_rows
    not_in_table = sum(parameter.numel() for parameter in model.parameters()) + sum(
        parameter.numel()
        for name, parameter in prompt.named_parameters()
        if name != "vectors" and "text_encoder." not in name
    )
    not_vectors = sum(parameter.numel() for name, parameter in trained.items() if name != "prompt.vectors")

    def counted(table: int) -> ParameterCounts:
        learned = table * width if vectors is not None and vectors.requires_grad else 0
        return ParameterCounts(
            trained=not_vectors + learned, total=not_in_table + text_encoder + table * width, text_encoder=text_encoder
        )

    return {"used": counted(rows), "paper": counted(PAPER_ROWS if rows else 0)}
