"""The seam every detection model meets: image + language features -> predictions -> losses or detections."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import torch
from torch import Tensor, nn

from cones.models.language import LanguageFeatures
from cones.models.losses import LossTerms
from cones.runtime.devices import to_device
from cones.runtime.errors import ConesError


@dataclass(frozen=True)
class Preprocessing:
    """How pixels enter a model: resize rule, channel order, normalisation, padding."""

    short_side: int  # test-time length of the short side, pixels
    long_side_cap: int  # the long side is never longer than this
    mean: tuple[float, float, float]  # in the model's channel order, on the 0-255 scale
    std: tuple[float, float, float]
    bgr: bool = True
    size_divisor: int = 32  # batches are padded right and bottom to a multiple of this, with zeros after normalisation
    pads_at_test: bool = True  # False: to `size_divisor` in training only, at test images of one size form a batch


@dataclass
class ImageBatch:
    """pixels (B, 3, H, W) normalised and padded; sizes[b] = unpadded (height, width) in pixels."""

    pixels: Tensor
    sizes: list[tuple[int, int]]

    def to(self, device: torch.device) -> "ImageBatch":
        return ImageBatch(to_device(self.pixels, device), self.sizes)


@dataclass
class Target:
    """The ground truth of one image, in pixels of the resized, unpadded image.

    boxes (G, 4) x1, y1, x2, y2 in the model's box convention; labels (G,) int64 class index from 0;
    masks (G, h, w) bool, of the resized, unpadded image as well, or None.
    """

    boxes: Tensor
    labels: Tensor
    image_id: int
    masks: Tensor | None = None

    def to(self, device: torch.device) -> "Target":
        masks = None if self.masks is None else to_device(self.masks, device)
        return Target(to_device(self.boxes, device), to_device(self.labels, device), self.image_id, masks)


@dataclass
class FeaturePyramid:
    """The image side: maps[l] (B, C, H_l, W_l), fine to coarse; sizes as in `ImageBatch`.

    padding (B, H, W) bool, True on padded pixels of the batch, or None for a model that does not look at it.
    """

    maps: list[Tensor]
    sizes: list[tuple[int, int]]
    padding: Tensor | None = None


@dataclass
class Predictions:
    """What `ground` says about a batch; `outputs` is the model's own business, `language` is kept for the loss."""

    outputs: dict[str, object]
    language: LanguageFeatures
    pyramid: FeaturePyramid = field(repr=False)


@dataclass
class Detections:
    """One image, in pixels of the resized, unpadded image (h, w): boxes (M, 4) xyxy, scores (M,), labels (M,) int64
    from 0; masks (M, h, w) bool, or None from a model without masks.

    Masks become those of the original picture by nearest resizing, once, at the very end (docs/spec/uninext.md 12).
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    masks: Tensor | None = None


@dataclass
class ScoredPlaces:
    """What a detector scores against the rows of a text: the P points of its maps, or the queries of its last layer.

    features  (B, P, C) and texts (B, L, C): what the logits compare, in one space
    logits    (B, P, L) of every row of the text
    boxes     (B, P, 4) x1, y1, x2, y2 in pixels of the resized image, not clipped, without gradient
    """

    features: Tensor
    texts: Tensor
    logits: Tensor
    boxes: Tensor


@dataclass
class BoxFeatures:
    """Boxes and classes of one image in the space where the detector compares them (Figure 5, Table 3).

    visual (G, C) a vector per box; classes (K, C) a vector per class; logits (G, K) how well they fit.
    """

    visual: Tensor
    classes: Tensor
    logits: Tensor


@dataclass(frozen=True)
class ImageBlocks:
    """The blocks of an image encoder that learned tokens can join: {name: width of its rows}, in order, and the side of
    the patches that become rows, in pixels. A block takes `(x, tokens)`, tokens (n, width), and gives x alone."""

    widths: Mapping[str, int]
    patch: int


class GroundedDetector(nn.Module):
    """image + language features -> predictions. Contains no text encoder: methods that need one build it beside.

    pixels            changes nothing: every `ImageBatch` passes it first, so that a method may attach to it
    text_width        D of the language features
    text_layers       of the text encoder that goes with the detector
    map_width         C of the pyramid's maps
    finest_stride     pixels a place of the finest map stands for; each map after it has twice the stride
    preprocessing     how pixels enter
    inclusive_boxes   True if x2, y2 are the last pixel inside a box (width = x2 - x1 + 1)
    predicts_masks    True if `detect` gives masks; targets then have them where the dataset does
    projections       names of the parameters that linear probing trains: the heads' last projections
    other_projections {name: further choices of what linear probing may train}, as arms give them
    attention_projections  names of the linear layers that make queries, keys, values and outputs of the attention in
                      the image encoder and of the fusion; () where there are none
    fusions           names of the modules in which image and text attend to each other (`BiAttention`); () without
    image_blocks      the blocks of the image encoder that tokens can join, or None if it has no such blocks
    always_frozen     names (or prefixes ending in ".") that no method trains
    additions         prefixes ending in "." of what a tuning method has added (see `cones/models/additions.py`)
    loss_groups       the groups of terms that `loss` returns; may be set to fewer. Empty: they cannot be told apart
    text_rows         None, or to how many rows a text is padded before anything hears it (see `optimisations`)
    masks_for_every_query  whether `detect` makes masks that it does not keep as well (see `optimisations`)
    """

    pixels: nn.Identity
    text_width: int
    text_layers: int
    map_width: int
    finest_stride: int = 8
    preprocessing: Preprocessing
    inclusive_boxes: bool = False
    predicts_masks: bool = False
    projections: frozenset[str] = frozenset()
    other_projections: Mapping[str, frozenset[str]] = MappingProxyType({})
    attention_projections: tuple[str, ...] = ()
    fusions: tuple[str, ...] = ()
    image_blocks: ImageBlocks | None = None
    always_frozen: tuple[str, ...] = ()
    additions: tuple[str, ...] = ()
    loss_groups: tuple[str, ...] = ()
    text_rows: int | None = None
    masks_for_every_query: bool = False

    @abstractmethod
    def encode_image(self, images: ImageBatch) -> FeaturePyramid:
        """Language-free part: computed once and shared where nothing in it trains. `pixels` comes first."""

    @abstractmethod
    def ground(
        self, pyramid: FeaturePyramid, language: LanguageFeatures, targets: list[Target] | None = None
    ) -> Predictions:
        """`language` has B rows or 1. Targets only for what training adds to the input, such as denoising queries."""

    @abstractmethod
    def loss(self, predictions: Predictions, targets: list[Target]) -> LossTerms:
        """Weighted loss terms (see `LossTerm`); an image without boxes contributes background only."""

    @abstractmethod
    def normalisers(self, targets: list[Target], size: tuple[int, int]) -> dict[str, Tensor]:
        """The normaliser of each loss term for images padded to `size` (H, W): from the ground truth alone.

        Equal to those `loss` returns; known before any forward pass, so a batch can be cut into parts.
        """

    @abstractmethod
    def detect(self, predictions: Predictions, sizes: list[tuple[int, int]] | None = None) -> list[Detections]:
        """At most the model's detections-per-image limit, clipped to `sizes` (default: the pyramid's)."""

    @abstractmethod
    def image_encoder(self) -> list[nn.Module]:
        """The modules behind `encode_image`."""

    def pooled(self, pyramid: FeaturePyramid) -> Tensor:
        """(B, C) one vector per image: the mean over its own places of each map, then over the maps; padding does not
        count, so that an image's vector depends on no other image."""
        means = []
        for level, features in enumerate(pyramid.maps):
            stride = self.finest_stride * 2**level
            own = [(-(-height // stride), -(-width // stride)) for height, width in pyramid.sizes]
            means.append(torch.stack([one[:, :h, :w].mean(dim=(1, 2)) for one, (h, w) in zip(features, own)]))
        return torch.stack(means).mean(dim=0)

    def prepare_language(self, language: LanguageFeatures, batch_size: int) -> LanguageFeatures:
        """`language` for each of `batch_size` images, with as many rows as the detector looks at."""
        language = language.for_batch(batch_size)
        return language if self.text_rows is None else language.padded(self.text_rows)

    def box_features(self, predictions: Predictions, boxes: list[Tensor]) -> dict[str, list[BoxFeatures]]:
        """{where the features are taken: one `BoxFeatures` per image} for boxes (G, 4) of each image.

        Empty for a detector that does not compare places of a feature map with words.
        """
        return {}

    def scored_places(self, predictions: Predictions) -> ScoredPlaces:
        """What the class scores of `loss` and `detect` are made of; ConesError for a detector that does not say it."""
        raise ConesError(
            f"{type(self).__name__} does not say which places it scores",
            next_step="leave methods that change scores out of its grids, or give it `scored_places` and `with_logits`",
        )

    def with_logits(self, predictions: Predictions, logits: Tensor) -> Predictions:
        """The same predictions with other logits (B, P, L) at the places of `scored_places`, in `loss` and `detect`;
        those of earlier layers and of denoising queries stay."""
        raise ConesError(
            f"{type(self).__name__} takes no other logits at the places it scores",
            next_step="leave methods that change scores out of its grids, or give it `with_logits`",
        )

    def region_points(self, predictions: Predictions) -> Tensor:
        """(P, M) int64: the places that make up the region around each place of `scored_places`; ConesError for a
        detector whose places have none."""
        raise ConesError(
            f"the places of {type(self).__name__} have no region of points around them",
            next_step="leave methods that look at regions out of its grids",
        )

    def thaw(self) -> None:
        """Called once before training from random weights; a model whose normalisation is frozen lets it learn."""

    def forward(self, images: ImageBatch, language: LanguageFeatures) -> list[Detections]:
        pyramid = self.encode_image(images)
        return self.detect(self.ground(pyramid, language))
