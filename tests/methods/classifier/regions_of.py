"""Regions of the golden pictures through the tiny ResNet, for methods of several classes a picture."""

import functools

import torch

from cones.models.dual_encoder import ImageFeatures
from tests.golden.tiny_clip import TINY_RN, golden_clip, golden_images


@functools.cache
def resnet():
    return golden_clip(TINY_RN)


@functools.cache
@torch.no_grad()
def regions(tag: str, count: int, *, placed: bool) -> ImageFeatures:
    pixels = golden_images(tag, count, 64)
    return ImageFeatures(resnet().encode_image(pixels).pooled, resnet().encode_regions(pixels, placed=placed))
