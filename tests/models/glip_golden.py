"""The golden GLIP: synthetic weights by name, the golden image and text, and everything one run of a model shows.

The recipe, keys and tolerances are in tests/golden/glip/FORMAT.md.
"""

import gzip
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cones.models.checkpoints import build_detector, build_text_encoder
from cones.models.detector import ImageBatch, Target
from cones.models.glip.anchors import encode
from cones.models.glip.atss import assign, centerness_targets
from cones.models.language import LanguageFeatures
from cones.models.layers.levels import unflatten_maps
from cones.models.losses import normalised

GOLDEN = Path(__file__).parents[1] / "golden" / "glip"
TEXT_PREFIX = "language_backbone.body.model."
TOKENS = [101, 3869, 1012, 20919, 3869, 1012, 2712, 2732, 102]
CLASS_POSITIONS = [[1], [3, 4], [6, 7]]
LEVELS = ("p3", "p4", "p5", "p6", "p7")


def official_entries(variant: str) -> list[tuple[str, tuple[int, ...], str, str]]:
    """(name, shape, dtype, kind) of every entry of the official checkpoint, without the `module.` prefix."""
    lines = gzip.decompress((GOLDEN / f"state_dict_{variant}.txt.gz").read_bytes()).decode().split("\n")
    rows = [line.split() for line in lines if line]
    return [(n, () if s == "scalar" else tuple(map(int, s.split("x"))), d, k) for n, s, d, k in rows]


def synthetic(name: str, shape: tuple[int, ...]) -> Tensor:
    """The value that the recipe gives a parameter of this checkpoint name."""
    generator = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
    z = generator.standard_normal(int(np.prod(shape))).reshape(shape)
    last = name.rsplit(".", 1)[-1]
    if name.endswith("relative_position_bias_table"):
        value = 0.5 * z
    elif "_embeddings.weight" in name:
        value = 0.02 * z
    elif last in ("gamma_v", "gamma_l"):
        value = 0.15 + 0.05 * z
    elif last == "scale":
        value = 1 + 0.1 * z
    elif last == "log_scale":
        value = -1.5 + 0.1 * z
    elif last == "bias_lang":
        value = 0.5 * z
    elif last == "bias0":
        value = -2 + 0.1 * z
    elif len(shape) >= 2:
        value = z / np.sqrt(np.prod(shape[1:]))
    elif last == "weight":
        value = 1 + 0.1 * z
    else:
        value = 0.05 * z
    return torch.from_numpy(value.astype(np.float32))


def golden_model(name: str) -> tuple[torch.nn.Module, torch.nn.Module]:
    """(detector, text encoder) in eval mode with synthetic weights, no parameter requiring gradients."""
    modules = []
    for builder, prefix in ((build_detector, ""), (build_text_encoder, TEXT_PREFIX)):
        with torch.device("meta"):
            module = builder(name)
        weights = {n: synthetic(prefix + n, tuple(p.shape)) for n, p in module.named_parameters()}
        fresh = {n: b for n, b in module.state_dict().items() if n not in weights}
        assert all("relative_position_index" in n or "cell_anchors" in n for n in fresh)
        module.load_state_dict(weights, strict=False, assign=True)
        modules.append(module.eval().requires_grad_(False))
    restore_buffers(modules[0], name)
    return modules[0], modules[1]


def restore_buffers(detector: torch.nn.Module, name: str) -> None:
    """Recompute the buffers that a model built on the meta device has no values for."""
    from cones.models.glip.anchors import AnchorGenerator
    from cones.models.glip.config import SIZES, STRIDES
    from cones.models.layers.swin import WindowAttention, relative_position_index

    for module in detector.modules():
        if isinstance(module, WindowAttention):
            module.relative_position_index = relative_position_index(SIZES[name].window)
    detector.rpn.anchor_generator = AnchorGenerator(strides=STRIDES, scale=SIZES[name].anchor_scale)


def golden_image(height: int, width: int, phase: float) -> Tensor:
    """(3, H, W) float32, already normalised."""
    c, y, x = np.meshgrid(np.arange(3), np.arange(height), np.arange(width), indexing="ij")
    value = (
        np.sin(0.05 * (c + 1) * x + phase)
        + np.cos(0.07 * (c + 1) * y - phase)
        + 0.5 * np.sin(0.013 * x * y / (c + 1) + phase)
    )
    return torch.from_numpy(value.astype(np.float32))


def class_positions(length: int) -> Tensor:
    positions = torch.zeros(1, len(CLASS_POSITIONS), length, dtype=torch.bool)
    for row, tokens in zip(positions[0], CLASS_POSITIONS):
        row[tokens] = True
    return positions


def golden_language(encoder: torch.nn.Module, length: int = len(TOKENS)) -> LanguageFeatures:
    """The golden text, cropped to its 9 valid positions or padded to `length`."""
    ids = torch.zeros(1, length, dtype=torch.long)
    ids[0, : len(TOKENS)] = torch.tensor(TOKENS)
    mask = (torch.arange(length) < len(TOKENS))[None]
    return LanguageFeatures(encoder(input_ids=ids, mask=mask), mask, class_positions(length))


class Recorder:
    """Forward hooks that file what the stages of a detector give under the golden names."""

    def __init__(self, detector: torch.nn.Module):
        self.seen: dict[str, Tensor] = {}
        self.detector = detector

    def __enter__(self):
        head, self.handles = self.detector.rpn.head, []
        self._hook(self.detector.backbone.body, self._maps("swin_stage", "1234"))
        self._hook(self.detector.backbone.fpn, self._maps("fpn_", LEVELS))
        tower = list(head.dyhead_tower)
        per_block = 3 if len(tower) > 6 else 1
        last = len(tower) // per_block - 1
        for block in (0, last):
            layers = tower[per_block * block : per_block * (block + 1)]
            if per_block == 3:
                self._hook(layers[0], self._fuse(block))
                self._hook(layers[1], self._text(block))
            self._hook(layers[-1], self._dyconv(block))
        return self

    def __exit__(self, *_):
        for handle in self.handles:
            handle.remove()

    def _hook(self, module, keep):
        self.handles.append(module.register_forward_hook(lambda _, args, output: keep(output)))

    def _file_flat(self, name, flat):
        shapes = [self.seen[f"fpn_{level}"].shape[-2:] for level in LEVELS]
        for level, value in zip(LEVELS, unflatten_maps(flat, shapes)):
            self.seen[f"{name}_{level}"] = value

    def _maps(self, name, levels):
        return lambda output: self.seen.update({f"{name}{level}": value for level, value in zip(levels, output)})

    def _fuse(self, block):
        def keep(output):
            self._file_flat(f"block{block}_fuse", output[0])
            self.seen[f"block{block}_fuse_hidden_valid"] = output[1][0, : len(TOKENS)]

        return keep

    def _text(self, block):
        def keep(output):
            self.seen[f"block{block}_lang_hidden_valid"] = output[0, : len(TOKENS)]

        return keep

    def _dyconv(self, block):
        return lambda output: self._file_flat(f"block{block}_dyconv", output)


def head_outputs(outputs: dict, *, single: bool) -> dict[str, Tensor]:
    """Predictions' outputs by level, named and shaped as in the golden files."""
    found = {}
    batch = len(outputs["logits"])
    sizes = [h * w for h, w in outputs["shapes"]]
    cut = zip(*(outputs[name].split(sizes, dim=1) for name in ("logits", "deltas", "centerness")))
    for level, shape, (logits, deltas, centerness) in zip(LEVELS, outputs["shapes"], cut):
        valid, pad = logits[..., : len(TOKENS)], logits[..., len(TOKENS) :]
        found[f"dot_logits_valid_{level}"] = valid[0] if single else valid
        found[f"bbox_reg_{level}"] = deltas.transpose(1, 2).unflatten(2, shape)
        found[f"centerness_{level}"] = centerness.view(batch, 1, *shape)
        if pad.shape[-1]:
            found[f"dot_logits_pad_{level}"] = pad[0]
    return found


def run_golden(detector, encoder, golden: dict, dtype: torch.dtype) -> dict[str, Tensor]:
    """Everything the golden file of one variant holds, from the cropped text (the way the project runs it)."""
    gradients = {name.split("|")[1].split("__")[0] for name in golden if name.startswith("grad|")}
    parameters = dict(detector.named_parameters())
    watched = {name: parameters[name].requires_grad_(True) for name in gradients}
    image = golden_image(160, 224, 0.0)[None].to(dtype)
    language = golden_language(encoder)
    language.hidden.requires_grad_(True)
    with Recorder(detector) as recorder:
        predictions = detector.ground(detector.encode_image(ImageBatch(image, [(160, 224)])), language)
    target = Target(torch.from_numpy(golden["gt_boxes"]).to(dtype), torch.tensor([0, 2]), image_id=0)
    losses = normalised(detector.loss(predictions, [target]))
    total = sum(losses.values())
    total.backward()
    seen = {"image": image, **recorder.seen, **head_outputs(predictions.outputs, single=True)}
    seen |= text_facts(encoder) | assignment_facts(detector, predictions.outputs["shapes"], target)
    seen |= {f"cell_anchor_{i}": b for i, b in enumerate(detector.rpn.anchor_generator.cell_anchors.buffers())}
    seen |= {
        "image_shape": torch.tensor(image.shape),
        "token_ids": torch.tensor(TOKENS),
        "gt_boxes": target.boxes,
        "gt_labels": target.labels + 1,
        "gt_token_spans": torch.tensor([[CLASS_POSITIONS[k][0], CLASS_POSITIONS[k][-1]] for k in (0, 2)]),
        "loss_reg": losses["box"],
        "loss_centerness": losses["centerness"],
        "loss_cls": torch.zeros(()),
        "loss_dot_product_token": losses["classification"],
        "loss_total": total,
    }
    kind = "hidden" if "grad_hidden_valid" in golden else "embedded"
    seen[f"grad_{kind}_valid"] = language.hidden.grad[0]
    for name, parameter in watched.items():
        seen[f"grad|{name}"] = parameter.grad
        seen[f"grad|{name}__norm"] = parameter.grad.norm()
        parameter.requires_grad_(False).grad = None
    if "det_boxes" in golden:
        with torch.no_grad():
            seen |= sorted_detections(detector.detect(predictions)[0], "det_")
    seen |= run_padded(detector, encoder, image, target, kind)
    return {name: value.detach() for name, value in seen.items()}


def run_padded(detector, encoder, image, target, kind: str) -> dict[str, Tensor]:
    """The same with the text padded to 256 positions: what only a padded run shows."""
    language = golden_language(encoder, 256)
    language.hidden.requires_grad_(True)
    predictions = detector.ground(detector.encode_image(ImageBatch(image, [(160, 224)])), language)
    sum(normalised(detector.loss(predictions, [target])).values()).backward()
    seen = {
        f"padded_{n}" if "_pad_" not in n else n: v for n, v in head_outputs(predictions.outputs, single=True).items()
    }
    seen[f"grad_{kind}_pad_absmax"] = language.hidden.grad[0, len(TOKENS) :].abs().max()
    seen["padded_gradient"] = language.hidden.grad[0, : len(TOKENS)]
    return seen


def text_facts(encoder) -> dict[str, Tensor]:
    with torch.no_grad():
        padded = golden_language(encoder, 256)
    embedded = padded.hidden * padded.mask[..., None]
    return {
        "lang_hidden_valid": padded.hidden[0, : len(TOKENS)],
        "lang_hidden_pad9_12": padded.hidden[0, len(TOKENS) : 12],
        "lang_embedded_sub": embedded,
        "lang_aggregate": embedded.sum(dim=1) / len(TOKENS),
    }


def assignment_facts(detector, shapes, target: Target, prefix: str = "pos_") -> dict[str, Tensor]:
    anchors = detector.rpn.anchor_generator(shapes)
    matched = assign(target.boxes, anchors, [h * w for h, w in shapes])
    positives, boxes = anchors[matched.index], target.boxes[matched.box]
    return {
        f"{prefix}index": matched.index,
        f"{prefix}label": target.labels[matched.box] + 1,
        f"{prefix}reg_target": encode(boxes, positives),
        f"{prefix}anchor": positives,
        f"{prefix}centerness_target": centerness_targets(positives, boxes),
        "num_anchors": torch.tensor(len(anchors)),
    }


def sorted_detections(found, prefix: str) -> dict[str, Tensor]:
    order = found.scores.argsort(descending=True, stable=True)
    return {
        f"{prefix}boxes": found.boxes[order],
        f"{prefix}scores": found.scores[order],
        f"{prefix}labels": found.labels[order] + 1,
    }
