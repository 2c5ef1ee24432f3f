"""The golden UNINEXT: synthetic weights by name, golden pictures and targets, and everything one run of it shows.

The recipe, keys and tolerances are in tests/golden/uninext/FORMAT.md.
"""

import contextlib
import gzip
import math
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from cones.models.checkpoints import build_detector, build_text_encoder
from cones.models.detector import ImageBatch, Target
from cones.models.language import LanguageFeatures
from cones.models.uninext import denoising, selection
from cones.models.uninext.detector import UNINEXT

GOLDEN = Path(__file__).parents[1] / "golden" / "uninext"
NAME = "uninext_r50"
TEXT_PREFIX = "text_encoder.body.model."
CAPTION_IDS = [101, 2711, 1012, 2482, 1012, 26572, 2361, 102]
CAPTION_POSITIONS = [[1], [3], [5, 6]]
CONCEPT_ROWS = 6  # two for each of three classes


def golden_file(name: str) -> dict[str, np.ndarray]:
    return dict(np.load(GOLDEN / f"golden_{name}.npz"))


def official_entries() -> list[tuple[str, tuple[int, ...], str, str]]:
    """(name, shape, dtype, kind) of every entry of the official checkpoint; kind: param, buffer or alias."""
    lines = gzip.decompress((GOLDEN / "state_dict_uninext_r50.txt.gz").read_bytes()).decode().split("\n")
    rows = [line.split() for line in lines]
    return [(n, () if s == "scalar" else tuple(map(int, s.split("x"))), d, k) for n, s, d, k in rows]


def mean_and_spread(name: str, shape: tuple[int, ...]) -> tuple[float, float]:
    fan = math.prod(shape[1:])
    rules = [
        (name.endswith("running_mean"), 0.0, 0.1),
        (name.endswith("running_var"), 1.0, 0.2),
        (name.endswith("log_scale"), 0.0, 0.1),
        (name.endswith("bias0"), -3.0, 0.1),
        (name.endswith("class_embed.6.body.bias"), -4.0, 0.05),
        (name.endswith("bias_lang"), 0.0, 0.1),
        (name.endswith(("gamma_v", "gamma_l")), 1 / 6, 1 / 60),
        (name.endswith("sampling_offsets.bias"), 0.0, 2.0),
        (name.endswith("level_embed"), 0.0, 0.5),
        (name.endswith("tgt_embed.weight"), 0.0, 1.0),
        ("_embeddings.weight" in name, 0.0, 0.5),
        (name.endswith("conv3.norm.weight"), 0.3, 0.015),
        (len(shape) == 1 and name.endswith("bias"), 0.0, 0.05),
        (len(shape) == 1 and name.endswith("weight"), 1.0, 0.05),
        (name.endswith("dot_product_projection_text.weight"), 0.0, 8 / math.sqrt(fan)),
        (name.endswith("layers.2.weight") and "bbox_embed" in name, 0.0, 0.5 / math.sqrt(fan)),
        (name.endswith("controller.layers.2.weight"), 0.0, 0.4 / math.sqrt(fan)),
        (len(shape) == 4, 0.0, math.sqrt(2 / fan)),
        (len(shape) == 2, 0.0, 1 / math.sqrt(fan)),
        (name.endswith("in_proj_bias"), 0.0, 0.05),
    ]
    return next((mean, spread) for applies, mean, spread in rules if applies)


def generator(name: str) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))


def synthetic(name: str, shape: tuple[int, ...]) -> Tensor:
    """The value that the recipe gives an entry of this checkpoint name; a copy has the value of its original."""
    name = name.replace("transformer.decoder.class_embed", "class_embed")
    name = name.replace("transformer.decoder.bbox_embed", "bbox_embed")
    mean, spread = mean_and_spread(name, shape)
    z = generator(name).standard_normal(size=shape)
    z = np.abs(z) if name.endswith("running_var") else z
    return torch.from_numpy((mean + spread * z).astype(np.float32))


def golden_module(builder, prefix: str) -> nn.Module:
    """In eval mode with synthetic weights and buffers, nothing requiring gradients."""
    with torch.device("meta"):
        module = builder(NAME)
    state = {name: synthetic(prefix + name, tuple(value.shape)) for name, value in module.state_dict().items()}
    module.load_state_dict(state, strict=True, assign=True)
    return module.eval().requires_grad_(False)


def golden_detector() -> UNINEXT:
    return golden_module(build_detector, "")


def golden_text_encoder() -> nn.Module:
    return golden_module(build_text_encoder, TEXT_PREFIX)


def golden_pixels(height: int, width: int) -> Tensor:
    """(3, H, W) uint8."""
    c, y, x = np.meshgrid(np.arange(3.0), np.arange(float(height)), np.arange(float(width)), indexing="ij")
    value = 127.5 + 70 * np.sin(2 * np.pi * (x / 37 + y / 53 + c / 3))
    value += 45 * np.cos(2 * np.pi * (x * (c + 1) / 91 - y / (29 + 7 * c)))
    value += np.where(((x // 24) + (y // 18)) % 3 == c, 30.0, -15.0)
    return torch.from_numpy(np.clip(np.floor(value + 0.5), 0, 255).astype(np.uint8))


def image_batch(detector: UNINEXT, sizes: list[tuple[int, int]], *, divisor: int) -> ImageBatch:
    """Golden pictures, normalised, padded with zeros to the largest and to a multiple of `divisor`."""
    mean, std = (
        torch.tensor(values).view(3, 1, 1) for values in (detector.preprocessing.mean, detector.preprocessing.std)
    )
    height, width = (-(-max(size[axis] for size in sizes) // divisor) * divisor for axis in (0, 1))
    pixels = torch.zeros(len(sizes), 3, height, width)
    for canvas, size in zip(pixels, sizes):
        canvas[:, : size[0], : size[1]] = (golden_pixels(*size) - mean) / std
    return ImageBatch(pixels, sizes)


def golden_target(height: int, width: int, *, only: int | None = None) -> Target:
    """An ellipse of class 0 and a rectangle of class 2; `only` one of the two."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    ellipse = ((x - 0.35 * width) / (0.2 * width)) ** 2 + ((y - 0.45 * height) / (0.3 * height)) ** 2 <= 1
    rectangle = (x >= math.floor(0.6 * width)) & (x < math.floor(0.9 * width))
    rectangle &= (y >= math.floor(0.3 * height)) & (y < math.floor(0.75 * height))
    masks = torch.from_numpy(np.stack([ellipse, rectangle]))
    boxes = []
    for mask in masks:
        rows, columns = mask.any(dim=1).nonzero(), mask.any(dim=0).nonzero()
        boxes.append([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
    chosen = slice(None) if only is None else slice(only, only + 1)
    return Target(torch.tensor(boxes).float()[chosen], torch.tensor([0, 2])[chosen], 1, masks[chosen])


def concept_rows(rows: int = CONCEPT_ROWS) -> Tensor:
    """(rows, 768)."""
    table = 0.5 * generator("cones.embed").standard_normal(size=(256, 768))
    return torch.from_numpy(table.astype(np.float32)[:rows].copy())


def concept_language(rows: Tensor) -> LanguageFeatures:
    return LanguageFeatures.of_tokens_per_class(rows.view(3, -1, 768))


def caption_language(encoder: nn.Module, length: int = len(CAPTION_IDS)) -> LanguageFeatures:
    ids = torch.zeros(1, length, dtype=torch.long)
    ids[0, : len(CAPTION_IDS)] = torch.tensor(CAPTION_IDS)
    mask = (torch.arange(length) < len(CAPTION_IDS))[None]
    positions = torch.zeros(1, len(CAPTION_POSITIONS), length, dtype=torch.bool)
    for row, tokens in zip(positions[0], CAPTION_POSITIONS):
        row[tokens] = True
    return LanguageFeatures(encoder(input_ids=ids, mask=mask), mask, positions)


def golden_noise(rows: int, device: torch.device) -> tuple[Tensor, Tensor]:
    sign = generator("dn.sign").integers(0, 2, (rows, 4)) * 2 - 1
    share = generator("dn.part").random((rows, 4)).astype(np.float32)
    return torch.from_numpy(sign.astype(np.float32)), torch.from_numpy(share)


@contextlib.contextmanager
def golden_choices(monkeypatch, chosen: np.ndarray):
    """Inside, queries start from the golden tokens (two float32 orders of evaluation rank near-ties differently) and
    denoising from the golden noise."""
    with monkeypatch.context() as patch:
        patch.setattr(selection, "best_tokens", lambda logits, count: torch.from_numpy(chosen).view(len(logits), -1))
        patch.setattr(denoising, "draw_noise", golden_noise)
        yield


class Recorder:
    """Forward hooks that file what the stages of a detector give under the golden names."""

    def __init__(self, detector: UNINEXT):
        self.detector, self.seen, self.handles = detector, {}, []

    def __enter__(self):
        inner = self.detector.detr.detr
        self._hook(inner.backbone[0].backbone, lambda out: {f"C{3 + i}": level for i, level in enumerate(out)})
        for level, projection in enumerate(inner.input_proj):
            self._hook(projection, lambda out, level=level: {f"proj{level}": out})
        encoder = inner.transformer.encoder
        self._hook(encoder.vl_layers[0], lambda out: {"fusion_visual": out[0], "fusion_lang": out[1]})
        for index, layer in enumerate(encoder.layers):
            self._hook(layer, lambda out, index=index: {f"enc{index}": out})
        self._hook(inner.transformer.enc_output_norm, lambda out: {"enc_output_memory": out})
        return self

    def __exit__(self, *_):
        for handle in self.handles:
            handle.remove()

    def _hook(self, module, named):
        self.handles.append(module.register_forward_hook(lambda _, args, out: self.seen.update(named(out))))


def difference(golden: dict, name: str, value: Tensor) -> float:
    """Largest absolute difference of a tensor that is stored whole or as every stride-th value."""
    value, expected = value.detach().double().numpy(), golden[name]
    if f"{name}__shape" in golden:
        assert value.shape == tuple(golden[f"{name}__shape"]), (name, value.shape)
        mean, std = golden[f"{name}__meanstd"]
        assert abs(value.mean() - mean) < 1e-4 and abs(value.std() - std) < 1e-4, name
        value = value.reshape(-1)[:: int(golden[f"{name}__stride"])]
    assert value.shape == expected.shape, (name, value.shape, expected.shape)
    return float(np.abs(value - expected).max())
