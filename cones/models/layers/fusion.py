"""Fusion: image and text attend to each other, both ways from one score matrix.

Sources: docs/spec/glip.md 6.1, docs/spec/uninext.md 6.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SCORE_LIMIT = 50000.0  # GLIP and UNINEXT clamp scores to +-50000


class BiAttention(nn.Module):
    """Scores A = Q Kᵀ of every image position with every text position, read along both axes.

    Two ways to the same numbers: *plain* projects V positions to `inner` channels; *folded* multiplies the projections
    into the few text rows first (docs/spec/glip.md 11), used when heads * L is below `inner`. `folded` forces one.
    """

    def __init__(self, *, visual: int, text: int, inner: int, heads: int, dropout: float, folded: bool | None = None):
        super().__init__()
        self.inner, self.heads, self.folded = inner, heads, folded
        self.dropout = dropout
        self.v_proj = nn.Linear(visual, inner)
        self.l_proj = nn.Linear(text, inner)
        self.values_v_proj = nn.Linear(visual, inner)
        self.values_l_proj = nn.Linear(text, inner)
        self.out_v_proj = nn.Linear(inner, visual)
        self.out_l_proj = nn.Linear(inner, text)
        for projection in self.children():
            nn.init.xavier_uniform_(projection.weight)
            nn.init.zeros_(projection.bias)

    def forward(
        self, visual: Tensor, text: Tensor, mask: Tensor | None, visual_mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """visual (B, V, C), text (B, L, D) -> their changes, (B, V, C) and (B, L, D).

        mask (B, L) bool, the rows that the image attends to, and visual_mask (B, V) bool, the image positions that the
        text attends to; None: all of them.
        """
        folded = self.heads * text.shape[1] < self.inner if self.folded is None else self.folded
        return (self._folded if folded else self._plain)(visual, text, mask, visual_mask)

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, L, inner) -> (B, heads, L, d)

    def _join(self, x: Tensor) -> Tensor:
        return x.transpose(1, 2).flatten(2)  # (B, heads, L, d) -> (B, L, inner)

    def _attend(
        self, scores: Tensor, mask: Tensor | None, visual_mask: Tensor | None, text_dim: int, visual_dim: int
    ) -> tuple[Tensor, Tensor]:
        """(softmax over text, softmax over image positions) of the same scores, each over what its mask leaves."""
        scores = scores.clamp(-SCORE_LIMIT, SCORE_LIMIT)
        attended = scores if visual_mask is None else scores.masked_fill(~visual_mask, -torch.inf)
        over_visual = attended.softmax(dim=visual_dim)
        if mask is not None:
            scores = scores.masked_fill(~mask, max(-9e15, torch.finfo(scores.dtype).min))
        over_text = scores.softmax(dim=text_dim)
        return F.dropout(over_text, self.dropout, self.training), F.dropout(over_visual, self.dropout, self.training)

    def _plain(
        self, visual: Tensor, text: Tensor, mask: Tensor | None, visual_mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        query = self._split(self.v_proj(visual)) * (self.inner // self.heads) ** -0.5  # (B, heads, V, d)
        key, text_values = self._split(self.l_proj(text)), self._split(self.values_l_proj(text))  # (B, heads, L, d)
        visual_values = self._split(self.values_v_proj(visual))  # (B, heads, V, d)
        scores = query @ key.transpose(-1, -2)  # (B, heads, V, L)
        mask = None if mask is None else mask[:, None, None, :]
        visual_mask = None if visual_mask is None else visual_mask[:, None, :, None]
        over_text, over_visual = self._attend(scores, mask, visual_mask, text_dim=-1, visual_dim=-2)
        visual_change = self.out_v_proj(self._join(over_text @ text_values))
        return visual_change, self.out_l_proj(self._join(over_visual.transpose(-1, -2) @ visual_values))

    def _folded(
        self, visual: Tensor, text: Tensor, mask: Tensor | None, visual_mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        batch, length = text.shape[:2]
        key = self._split(self.l_proj(text)) * (self.inner // self.heads) ** -0.5  # (B, heads, L, d)
        text_values = self._split(self.values_l_proj(text))  # (B, heads, L, d)

        folded_key = key @ self.v_proj.weight.unflatten(0, (self.heads, -1))  # (B, heads, L, C)
        key_bias = key @ self.v_proj.bias.view(self.heads, -1, 1)  # (B, heads, L, 1)
        scores = torch.baddbmm(
            key_bias.reshape(batch, 1, -1), visual, folded_key.flatten(1, 2).transpose(1, 2)
        )  # (B, V, heads * L)
        scores = scores.unflatten(-1, (self.heads, length))  # (B, V, heads, L)
        mask = None if mask is None else mask[:, None, None, :]
        visual_mask = None if visual_mask is None else visual_mask[:, :, None, None]
        over_text, over_visual = self._attend(scores, mask, visual_mask, text_dim=-1, visual_dim=1)

        out_weight = self.out_v_proj.weight.t().unflatten(0, (self.heads, -1))  # (heads, d, C)
        folded_values = (text_values @ out_weight).flatten(1, 2)  # (B, heads * L, C)
        visual_change = torch.baddbmm(self.out_v_proj.bias.view(1, 1, -1), over_text.flatten(2), folded_values)

        gathered = over_visual.flatten(2).transpose(1, 2) @ visual  # (B, heads * L, C)
        gathered = gathered.unflatten(1, (self.heads, length))  # (B, heads, L, C)
        context = gathered @ self.values_v_proj.weight.unflatten(0, (self.heads, -1)).transpose(1, 2)
        bias = self.values_v_proj.bias.view(self.heads, 1, -1)  # (heads, 1, d)
        if self.training and self.dropout:  # then the weights of a row do not sum to one
            bias = bias * over_visual.sum(dim=1).unsqueeze(-1)  # (B, heads, L, d)
        return visual_change, self.out_l_proj(self._join(context + bias))


class VLFuse(nn.Module):
    """v = LN(v) + gamma_v * change, l likewise: the un-normalised input is discarded (docs/spec/glip.md 6.1).

    `drop_path` is what both changes go through in train mode, if anything.
    """

    def __init__(
        self, *, attention: BiAttention, visual: int, text: int, gamma: float, drop_path: nn.Module | None = None
    ):
        super().__init__()
        self.drop_path = drop_path or nn.Identity()
        self.b_attn = nn.Module()  # the level of names that the official checkpoints have here
        self.b_attn.layer_norm_v = nn.LayerNorm(visual)
        self.b_attn.layer_norm_l = nn.LayerNorm(text)
        self.b_attn.attn = attention
        self.b_attn.gamma_v = nn.Parameter(torch.full((visual,), gamma))
        self.b_attn.gamma_l = nn.Parameter(torch.full((text,), gamma))

    def forward(
        self, visual: Tensor, text: Tensor, mask: Tensor | None, visual_mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """visual (B, V, C), text (B, L, D), masks as in `BiAttention` -> the same shapes."""
        fuse = self.b_attn
        visual, text = fuse.layer_norm_v(visual), fuse.layer_norm_l(text)
        visual_change, text_change = fuse.attn(visual, text, mask, visual_mask)
        visual = visual + self.drop_path(fuse.gamma_v * visual_change)
        return visual, text + self.drop_path(fuse.gamma_l * text_change)
