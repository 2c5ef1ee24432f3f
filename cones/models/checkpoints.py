"""Model names -> modules, fresh or with the weights of a file."""

from collections.abc import Callable

from torch import nn

from cones.errors import ConesError, closest
from cones.models.detector import GroundedDetector
from cones.models.glip.build import build_glip, build_glip_text_encoder
from cones.models.glip.config import SIZES


def build_detector(name: str) -> GroundedDetector:
    """The named detector with fresh parameters, without a text encoder."""
    return _builder(name, build_glip)(name)


def build_text_encoder(name: str) -> nn.Module:
    """The text encoder that belongs to the named detector, with fresh parameters."""
    return _builder(name, build_glip_text_encoder)(name)


def _builder(name: str, builder: Callable) -> Callable:
    if name not in SIZES:
        raise ConesError("unknown model", found=repr(name), next_step=closest(name, SIZES))
    return builder
