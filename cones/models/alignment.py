"""How well image positions and words agree: the classifier of a grounded detector."""

from torch import Tensor, nn
from torch.nn import functional as F

from cones.models.fusion import SCORE_LIMIT


def token_logits(
    visual: Tensor, text: Tensor, *, projection: nn.Linear, log_scale: Tensor, bias_lang: Tensor, bias0: Tensor
) -> Tensor:
    """visual (B, V, C), text (B, L, D) -> (B, V, L): normalise, halve, project; the bias is that of the un-halved text.

    GLIP spec, section 7; UNINEXT spec, section 9.
    """
    text = F.normalize(text, dim=-1)
    projected = projection(text / 2)  # (B, L, C)
    bias = text @ bias_lang + bias0  # (B, L)
    logits = visual @ (projected / log_scale.exp()).transpose(1, 2) + bias[:, None]  # (B, V, L)
    return logits.clamp(-SCORE_LIMIT, SCORE_LIMIT)
