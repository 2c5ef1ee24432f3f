"""Draw a dataset of the miniature suite: paint its pictures and pack them as the real archive is packed."""

import zipfile
from collections.abc import Callable
from pathlib import Path

from cones.data.download import miniature_mirror
from cones.data.registry import DRAWN, SPLITS, Dataset, Source
from cones.miniature import cells, cityscapes, dreambooth, layouts, medical, natural, odinw, sealife
from cones.miniature.classification import drawings as classification
from cones.miniature.classification import scene_maps
from cones.miniature.layouts import Page
from cones.miniature.painter import Painter, generator
from cones.runtime.artifacts import replacing
from cones.runtime.errors import ConesError

SEED = 0
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip can state

Files = dict[str, bytes]  # path inside an archive -> content
# a layout gives the files of the source's one archive, or {archive: files} where it has several
Layout = Callable[[Dataset, Source, list[Page]], Files | dict[str, Files]]

# dataset id -> who paints its pictures, and in which native layout they are packed
DRAWINGS: dict[str, tuple[Painter, Layout]] = {
    "aquarium": (sealife.paint, odinw.layout),
    "bccd": (cells.paint, layouts.bccd),
    **{name: (paint, odinw.layout) for name, paint in natural.PAINTERS.items()},
    "cityscapes": (cityscapes.paint, cityscapes.layout),
    "dreambooth": (dreambooth.paint, dreambooth.layout),
    **medical.DRAWINGS,
    **classification.DRAWINGS,
    **scene_maps.DRAWINGS,
}


def draw(dataset: Dataset, data_dir: str | Path, *, seed: int = SEED) -> Path:
    """Write `<data_dir>/miniature/mirror/<dataset id>/<archives of the registry>`; equal seeds give equal bytes.

    Returns the first archive's path. Raises ConesError for a dataset that nobody can draw yet.
    """
    if dataset.id not in DRAWINGS:
        raise ConesError(
            "there is no drawing of this dataset",
            where=f"dataset {dataset.id}",
            found=f"drawings of {', '.join(sorted(DRAWINGS))}",
            next_step="choose another source, or add a painter to DRAWINGS in cones/miniature/archives.py",
        )
    source = dataset.source(DRAWN)
    _, layout = DRAWINGS[dataset.id]
    folder = miniature_mirror(data_dir) / dataset.id
    first, *others = [archive.filename for archive in source.archives]
    files = layout(dataset, source, paint_pages(dataset, seed=seed))
    for name, content in (files if others else {first: files}).items():
        _write(folder / name, content)
    return folder / first


def paint_pages(dataset: Dataset, *, seed: int = SEED) -> list[Page]:
    """All pictures of a drawn dataset, as many per split as the registry expects; a split that is another one's
    files (`test: valid`) has no pages of its own."""
    painter, _ = DRAWINGS[dataset.id]
    source = dataset.source(DRAWN)
    splits = [split for split in SPLITS if split not in source.split.aliases]
    order = [split for split in splits for _ in range(getattr(source.expected.images, split))]
    order = order[: medical.PAGES.get(dataset.id)]
    return [
        Page(index, split, painter(generator(dataset.id, seed, index), dataset.classes, index))
        for index, split in enumerate(order)
    ]


def _write(path: Path, files: Files) -> None:
    """An archive, or the one loose file that is downloaded as it is."""
    if path.suffix == ".zip":
        _write_zip(path, files)
    else:
        with replacing(path) as temporary:
            temporary.write_bytes(files[path.name])


def _write_zip(path: Path, files: Files) -> None:
    """A zip whose bytes depend on nothing but `files`: sorted, undated, uncompressed."""
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            member = zipfile.ZipInfo(name, EPOCH)
            member.external_attr = 0o100644 << 16
            archive.writestr(member, files[name])
