"""A loss for methods of one class a picture where a picture may show several, of known labels alone."""

import torch
from torch import Tensor

from cones.models.losses import LossTerm


def known_pairs(logits: Tensor, labels: Tensor) -> LossTerm:
    """Mean over images of log(1 + sum over pairs of exp(logit of an absent class - logit of a present one)).

    logits (B, K); labels (B, K) are 1, 0, or -1 where nobody knows, which takes part in no pair: an image without a
    pair counts with a loss of 0. With one class a picture and all labels known it is the cross-entropy, so that cosines
    need no threshold. The log-sum-exp pairwise loss of Li et al. (arXiv 1704.03135, equation 4).
    """
    present = torch.where(labels == 1, -logits, -torch.inf).logsumexp(1)
    absent = torch.where(labels == 0, logits, -torch.inf).logsumexp(1)
    has_pair = (labels == 1).any(1) & (labels == 0).any(1)
    exponent = (present + absent)[has_pair]
    total = torch.nn.functional.softplus(exponent).sum() + 0 * logits.sum()  # a gradient of zero without any pair
    return LossTerm(total, torch.full((), float(len(labels)), device=labels.device))
