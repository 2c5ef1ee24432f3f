"""Pyramids of a frozen image encoder on disk, computed once for a model and a dataset and read by all their cells."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from cones.data.batches import Split, View
from cones.models.detector import FeaturePyramid
from cones.runtime.artifacts import bytes_of, read_json, replacing, write_json
from cones.runtime.errors import ConesError

ALIGNMENT = 64  # bytes: every tensor starts at a multiple


def tensors_file(index: Path) -> Path:
    """The file with the tensors of an index, one after the other as they are in memory."""
    return index.with_suffix(".bin")


def name_of(split: Split, view: View) -> str:
    """The name of a view, equal in all cells: with the image's id, as few-shot subsets leave some images out."""
    return f"{split.name}/{split.images[view.index]['id']}/{view.short_side}{'/flipped' * view.flip}"


def write_pyramids(index: Path, pyramids: Iterable[tuple[str, FeaturePyramid]], *, budget: int) -> int:
    """Write pyramids of single images, by name, until the next would exceed `budget` bytes; returns how many there are.

    Makes `<index>` (JSON: where each tensor lies, sha256 of all) and, before it, the numbers beside it.
    """
    views, digest, place = {}, hashlib.sha256(), 0
    with replacing(tensors_file(index)) as temporary, open(temporary, "wb") as file:
        for name, pyramid in pyramids:
            tensors = [*pyramid.maps, *([] if pyramid.padding is None else [pyramid.padding])]
            if place + sum(-(-tensor.nbytes // ALIGNMENT) * ALIGNMENT for tensor in tensors) > budget:
                break
            views[name] = {"size": pyramid.sizes[0], "padding": pyramid.padding is not None, "tensors": []}
            for tensor in tensors:
                data = bytes_of(tensor).tobytes()
                data += bytes(-len(data) % ALIGNMENT)
                file.write(data)
                digest.update(data)
                dtype = str(tensor.dtype).removeprefix("torch.")
                views[name]["tensors"].append({"start": place, "dtype": dtype, "shape": list(tensor.shape)})
                place += len(data)
    write_json(index, {"bytes": place, "sha256": digest.hexdigest(), "views": views}, indent=None)
    return len(views)


class PyramidFile:
    """The pyramids that `write_pyramids` wrote, mapped into memory: processes that read the same ones share them.

    The numbers may have been deleted to free the disk: then there are no views.
    """

    def __init__(self, index: Path):
        content, path = read_json(index), tensors_file(index)
        is_there, size = path.exists(), content["bytes"]
        self.views: dict[str, dict] = content["views"] if is_there else {}
        if is_there and path.stat().st_size != size:
            raise ConesError("not the file its index describes", where=path, next_step=f"delete {index} and run again")
        self._bytes = None
        if self.views:
            self._bytes = torch.from_file(str(path), shared=False, size=size, dtype=torch.uint8)

    def get(self, name: str) -> FeaturePyramid | None:
        """The pyramid of one image as it was written, or None; its memory is the file's."""
        view = self.views.get(name)
        if view is None:
            return None
        tensors = [self._tensor(**entry) for entry in view["tensors"]]
        padding = tensors.pop() if view["padding"] else None
        return FeaturePyramid(tensors, [tuple(view["size"])], padding)

    def _tensor(self, start: int, dtype: str, shape: list[int]) -> Tensor:
        kind = getattr(torch, dtype)
        size = kind.itemsize * torch.Size(shape).numel()
        return self._bytes[start : start + size].view(kind).view(shape)
