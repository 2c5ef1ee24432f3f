"""Native layouts: painted pictures -> the files of an archive, named and arranged as the real dataset has them."""

import io
from dataclasses import dataclass
from xml.sax.saxutils import escape

from cones.data.registry import SPLITS, Dataset, Source
from cones.miniature.painter import Painted

JPEG_QUALITY = 93
ORIGIN = "Drawn by the miniature of this project; no picture of the real dataset is used."


@dataclass(frozen=True)
class Page:
    """One painted picture and the split it was painted for."""

    index: int
    split: str
    painted: Painted


def jpeg(page: Page) -> bytes:
    buffer = io.BytesIO()
    page.painted.image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def bccd(dataset: Dataset, source: Source, pages: list[Page]) -> dict[str, bytes]:
    """The GitHub repository of BCCD: one top folder, a Pascal VOC tree below."""
    top = f"{source.archives[0].strip}"
    root = f"{top}/{source.format.parameters['root']}"
    files = {f"{top}/README.md": f"# BCCD\n{ORIGIN}\n".encode()}
    stems = {page.index: f"BloodImage_{page.index:05d}" for page in pages}
    for page in pages:
        files[f"{root}/JPEGImages/{stems[page.index]}.jpg"] = jpeg(page)
        files[f"{root}/Annotations/{stems[page.index]}.xml"] = _voc_xml(stems[page.index], page.painted).encode()
    lists = {split: [stems[page.index] for page in pages if page.split == split] for split in SPLITS}
    lists["trainval"] = sorted(lists["train"] + lists["val"])
    for name, members in lists.items():
        files[f"{root}/ImageSets/Main/{name}.txt"] = "".join(f"{stem}\n" for stem in members).encode()
    return files


def _voc_xml(stem: str, painted: Painted) -> str:
    width, height = painted.image.size
    objects = "".join(
        f"\t<object>\n\t\t<name>{escape(one.class_name)}</name>\n\t\t<pose>Unspecified</pose>\n"
        "\t\t<truncated>0</truncated>\n\t\t<difficult>0</difficult>\n\t\t<bndbox>\n"
        "\t\t\t<xmin>{}</xmin>\n\t\t\t<ymin>{}</ymin>\n\t\t\t<xmax>{}</xmax>\n\t\t\t<ymax>{}</ymax>\n".format(*one.box)
        + "\t\t</bndbox>\n\t</object>\n"
        for one in painted.objects
    )
    return (
        f"<annotation>\n\t<folder>JPEGImages</folder>\n\t<filename>{stem}.jpg</filename>\n"
        "\t<source>\n\t\t<database>Unknown</database>\n\t</source>\n"
        f"\t<size>\n\t\t<width>{width}</width>\n\t\t<height>{height}</height>\n\t\t<depth>3</depth>\n\t</size>\n"
        f"\t<segmented>0</segmented>\n{objects}</annotation>\n"
    )
