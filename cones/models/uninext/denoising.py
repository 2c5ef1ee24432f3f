"""Denoising queries: noisy ground-truth boxes before the real queries in training (docs/spec/uninext.md 11)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from cones.models.detector import Target
from cones.models.layers.boxes import normalised_boxes, to_centres, to_corners
from cones.models.uninext.geometry import inverse_sigmoid


@dataclass
class Denoising:
    """G groups of 2 * n slots, n the largest number of objects of an image; the first n of a group are positives.

    content (B, G * 2 n, C); boxes (B, G * 2 n, 4) in logit space; hidden_pairs (Q, Q) bool over these and the real
    queries, True where a query may not attend; object i of an image has slot i of every group.
    """

    content: Tensor
    boxes: Tensor
    hidden_pairs: Tensor
    groups: int
    slots: int

    def positives(self, objects: int) -> tuple[Tensor, Tensor]:
        """The slots (groups * objects,) that hold an object of an image with so many, and which object each holds."""
        device = self.content.device
        own = torch.arange(objects, device=device).repeat(self.groups)
        first = (torch.arange(self.groups, device=device) * self.slots).repeat_interleave(objects)
        return first + own, own


def draw_noise(rows: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """sign (rows, 4) -1 or 1 and share (rows, 4) in [0, 1), from torch's global generator."""
    sign = torch.randint(0, 2, (rows, 4)).float() * 2 - 1
    return sign.to(device), torch.rand(rows, 4).to(device)


def denoising_queries(
    targets: list[Target], sizes: list[tuple[int, int]], content: Tensor, *, positives: int, real_queries: int
) -> Denoising | None:
    """content (B, C): what every denoising query of an image says, from the unfused text. None without any object.

    There are as many groups as `positives` of the image with most objects fit in, and at least one.
    """
    counts = [len(target.boxes) for target in targets]
    most = max(counts)
    if most == 0:
        return None
    groups = max(positives // most, 1)
    boxes = torch.cat([normalised_boxes(target, size) for target, size in zip(targets, sizes)])  # (objects, 4)
    tiles = 2 * groups  # of the boxes of the whole batch: positive, negative, positive, …
    noised = inverse_sigmoid(noise(boxes.repeat(tiles, 1), tiles))  # (tiles * objects, 4)

    device = content.device
    own = torch.cat([torch.arange(count, device=device) for count in counts])  # (objects,) place inside the image
    image = torch.repeat_interleave(torch.arange(len(counts), device=device), torch.tensor(counts, device=device))
    slot = own + most * torch.arange(tiles, device=device)[:, None]  # (tiles, objects)
    image = image.expand_as(slot)
    slots = content.new_zeros(len(targets), tiles * most, 4, dtype=torch.float32)
    slots[image, slot] = noised.view(tiles, -1, 4)
    said = content.new_zeros(len(targets), tiles * most, content.shape[-1])
    said[image, slot] = content[image]
    return Denoising(said, slots, pairs_hidden(groups, 2 * most, real_queries, device), groups, 2 * most)


def noise(boxes: Tensor, tiles: int) -> Tensor:
    """boxes (tiles * objects, 4) cx, cy, w, h -> the same, each corner moved by up to half a side, or (every second
    tile) by half to a whole."""
    sign, share = draw_noise(len(boxes), boxes.device)
    share = share.view(tiles, -1, 4)
    share = torch.cat([share[0::2, None], share[1::2, None] + 1], dim=1).view(-1, 4)  # (tiles * objects, 4)
    half = boxes[:, 2:].repeat(1, 2) / 2  # (…, 4): w, h, w, h
    return to_centres((to_corners(boxes) + sign * share * half).clamp(0, 1))


def pairs_hidden(groups: int, slots: int, real_queries: int, device: torch.device) -> Tensor:
    """(Q, Q) bool: a real query sees no denoising one, a denoising one its own group and the real queries."""
    group = torch.arange(groups, device=device).repeat_interleave(slots)
    real = torch.full((real_queries,), -1, device=device)
    group = torch.cat([group, real])  # (Q,)
    return (group[None] >= 0) & (group[:, None] != group[None])
