"""How well image positions and words agree: the classifier of a grounded detector."""

from torch import Tensor, nn
from torch.nn import functional as F

from cones.models.layers.fusion import SCORE_LIMIT


def token_logits(head: nn.Module, visual: Tensor, text: Tensor) -> Tensor:
    """visual (B, V, C), text (B, L, D) -> (B, V, L): normalise, halve, project; the bias is that of the un-halved text.

    `head` holds `dot_product_projection_text`, `log_scale`, `bias_lang` and `bias0`.
    Sources: docs/spec/glip.md 7, docs/spec/uninext.md 9.
    """
    text = F.normalize(text, dim=-1)
    projected = projected_text(head, text)  # (B, L, C)
    bias = text @ head.bias_lang + head.bias0  # (B, L)
    logits = visual @ (projected / head.log_scale.exp()).transpose(1, 2) + bias[:, None]  # (B, V, L)
    return logits.clamp(-SCORE_LIMIT, SCORE_LIMIT)


def projected_text(head: nn.Module, text: Tensor) -> Tensor:
    """Rows of length one (…, L, D) -> (…, L, C): the text side of the dot product, before its temperature."""
    return head.dot_product_projection_text(text / 2)
