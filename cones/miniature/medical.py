"""Native layouts of the medical datasets: painted pictures -> the files of their archives.

`DRAWINGS` says who paints which dataset and how it is packed; `PAGES` how many volumes or subjects are painted where a
page is more than one picture of the dataset.
"""

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image

from cones.data.registry import Dataset, Source
from cones.data.splits import LISTS
from cones.miniature import brain, dermoscopy, endoscopy, histology, radiograph, tomography, ultrasound, wounds
from cones.miniature.layouts import Page, jpeg
from cones.miniature.painter import Painted

MASK_QUALITY = 95
MATLAB_HEADER = b"MATLAB 5.0 MAT-file, drawn by the miniature of this project".ljust(116)  # scipy's states the time


def isic2016(dataset: Dataset, source: Source, pages: list[Page]) -> dict[str, dict[str, bytes]]:
    """Two zips and a CSV without header per split; diagnoses are words in the one and numbers in the other."""
    archives = {archive.filename: {} for archive in source.archives}
    words = {"train": {"skin lesion": "benign", "melanoma": "malignant"}, "test": {"skin lesion": "0.0"}}
    words["test"]["melanoma"] = "1.0"
    rows: dict[str, list[list[str]]] = {"train": [], "test": []}
    parameters = source.format.parameters
    for page in pages:
        split = "test" if page.split == "test" else "train"
        folder = next(one for one in parameters["folders"] if one["split"] == split)
        stem = f"ISIC_{3 * page.index + 1:07d}"
        archives[f"{folder['images']}.zip"][f"{folder['images']}/{stem}.jpg"] = jpeg(page)
        mask = f"{folder['masks']}/{stem}_Segmentation.png"
        archives[f"{folder['masks']}.zip"][mask] = _png(_union(page.painted))
        rows[split].append([stem, words[split][page.painted.objects[0].class_name]])
    for folder in parameters["folders"]:
        archives[folder["labels"]] = {folder["labels"]: _csv(rows[folder["split"]])}
    return archives


def dfuc2020(dataset: Dataset, source: Source, pages: list[Page]) -> dict[str, bytes]:
    """A folder of pictures and one CSV with a row per box."""
    parameters = source.format.parameters
    rows: list[list] = [["name", "xmin", "ymin", "xmax", "ymax"]]
    files = {}
    for page in pages:
        name = f"{100000 + page.index}.jpg"
        files[f"{parameters['images']}/{name}"] = jpeg(page)
        rows += [[name, *one.box] for one in page.painted.objects]
    return {**files, parameters["annotations"]: _csv(rows)}


def cpm17(dataset: Dataset, source: Source, pages: list[Page]) -> dict[str, bytes]:
    """{train,test}/Images/*.png and Labels/*.mat with `inst_map`; numbering starts anew in each."""
    files, count = {}, {"train": 0, "test": 0}
    for page in pages:
        split = "test" if page.split == "test" else "train"
        stem = f"image_{count[split]:02d}"
        count[split] += 1
        numbers = np.zeros(page.painted.image.size[::-1], np.float64)
        for number, one in enumerate(page.painted.objects, start=1):
            numbers[one.mask] = number
        root = f"{source.format.parameters['root']}/{split}"
        files[f"{root}/Images/{stem}.png"] = _png(page.painted.image)
        files[f"{root}/Labels/{stem}.mat"] = _matlab({"inst_map": numbers})
    return files


def tbx11k(dataset: Dataset, source: Source, pages: list[Page]) -> dict[str, bytes]:
    """Pictures, lists that also name healthy ones, and XML in pixels of a far larger original; one XML is empty."""
    root = source.format.parameters["root"]
    lists: dict[str, list[str]] = {"train": [], "val": []}
    files = {}
    for page in pages:
        stem, split = f"tb{2 * page.index + 3:04d}", "val" if page.split == "test" else "train"
        lists[split].append(f"tb/{stem}.png")
        files[f"{root}/imgs/tb/{stem}.png"] = _png(page.painted.image)
        files[f"{root}/annotations/xml/{stem}.xml"] = _radiograph_xml(stem, page).encode()
    files[f"{root}/imgs/tb/tb1199.png"] = _png(pages[0].painted.image)
    files[f"{root}/annotations/xml/tb1199.xml"] = _radiograph_xml("tb1199", None).encode()
    lists["train"].append("tb/tb1199.png")
    for split, listed in lists.items():
        healthy = [f"health/h{number:04d}.png" for number in range(1, 4)]
        files[f"{root}/lists/TBX11K_{split}.txt"] = "".join(f"{name}\n" for name in [*listed, *healthy]).encode()
    return files


def luna16(dataset: Dataset, source: Source, pages: list[Page]) -> dict[str, dict[str, bytes]]:
    """Volumes as .mhd and .raw, turn by turn in the subsets' zips, and annotations.csv in world coordinates."""
    *subsets, annotations = [archive.filename for archive in source.archives]
    archives: dict[str, dict[str, bytes]] = {name: {} for name in subsets}
    rows: list[list] = [["seriesuid", "coordX", "coordY", "coordZ", "diameter_mm"]]
    for page in pages:
        scan, name = page.painted, subsets[page.index % len(subsets)]
        uid = "1.3.6.1.4.1.14519.5.2.1.6279.6001." + str(int(_digest(dataset.id, page.index), 16))[:30]
        direction = np.array([-1.0, -1.0, 1.0] if scan.flipped else [1.0, 1.0, 1.0])
        offset = np.array([150.5, 140.25, -210.0]) * -direction
        stem = f"{name.removesuffix('.zip')}/{uid}"
        archives[name][f"{stem}.raw"] = scan.hounsfield.astype("<i2").tobytes()
        archives[name][f"{stem}.mhd"] = _volume_header(scan.hounsfield.shape[::-1], direction, offset, uid).encode()
        for nodule in scan.nodules:
            world = offset + direction * np.array(tomography.SPACING) * np.array(nodule.centre)
            rows.append([uid, *(f"{value:.7f}" for value in world), f"{nodule.diameter:.7f}"])
    return {**archives, annotations: {annotations: _csv(rows)}}


def adni(dataset: Dataset, source: Source, pages: list[Page]) -> dict[str, bytes]:
    """JPEG slices of two cohorts, masks of both sides apart; numbers in names are not padded."""
    files = {}
    for page in pages:
        cohort = "35" if page.index % 4 == 3 else "100"
        marker = "tal_noscale" if page.index % 3 == 2 else "ACPC"
        subject = f"{page.index + 2:03d}_S_{295 + 31 * page.index:04d}_{marker}"
        for level, painted in enumerate(page.painted.slices, start=95):
            files[f"original/{cohort}/{subject}/{subject}_{level}.jpg"] = _jpeg(painted.image, 95)
            for position, side in enumerate("LR"):
                shown = painted.objects[position : position + 1]
                mask = _union(Painted(painted.image, shown))
                folder = subject.replace(marker, side)
                files[f"label/{cohort}label/{subject}/{folder}/{folder}_{level}.jpg"] = _jpeg(mask, MASK_QUALITY)
    return files


def tn3k(dataset: Dataset, source: Source, pages: list[Page]) -> dict[str, bytes]:
    """JPEG pictures and masks in numbered order, the fold by positions, and labels nobody needs here."""
    root, count = source.format.parameters["root"], {"trainval": 0, "test": 0}
    files = {}
    for page in pages:
        part = "test" if page.split == "test" else "trainval"
        files[f"{root}/{part}-image/{count[part]:04d}.jpg"] = jpeg(page)
        files[f"{root}/{part}-mask/{count[part]:04d}.jpg"] = _jpeg(_union(page.painted), MASK_QUALITY)
        count[part] += 1
    for part, number in count.items():
        files[f"{root}/label4{part}.csv"] = _csv([[f"{at:04d}.jpg", at % 2] for at in range(number)])
    for fold in range(5):
        lists = {"train": [], "val": []}
        for at in range(count["trainval"]):
            lists["val" if at % 5 == fold else "train"].append(at)
        files[f"{root}/tn3k-trainval-fold{fold}.json"] = json.dumps(lists).encode()
    return files


def dfuc2022(dataset: Dataset, source: Source, pages: list[Page]) -> dict[str, bytes]:
    """JPEG pictures and PNG masks with the same stems."""
    parameters = source.format.parameters
    folder = parameters["folders"][0]
    files = {}
    for page in pages:
        stem = f"{parameters['root']}/{{}}/{100001 + page.index}"
        files[f"{stem.format(folder['images'])}.jpg"] = jpeg(page)
        files[f"{stem.format(folder['masks'])}.png"] = _png(_union(page.painted))
    return files


def kvasir_seg(dataset: Dataset, source: Source, pages: list[Page]) -> dict[str, bytes]:
    """JPEG pictures and RGB JPEG masks; test pictures have ids of PraNet's list, the others made-up ones."""
    listed = iter((LISTS / source.split.lists["test"]).read_text(encoding="utf-8").split())
    root = source.format.parameters["root"]
    files, boxes = {}, {}
    for page in pages:
        stem = next(listed) if page.split == "test" else f"cju0{_digest(dataset.id, page.index)[:21]}"
        files[f"{root}/images/{stem}.jpg"] = jpeg(page)
        files[f"{root}/masks/{stem}.jpg"] = _jpeg(_union(page.painted).convert("RGB"), MASK_QUALITY)
        width, height = page.painted.image.size
        corners = [dict(zip(("xmin", "ymin", "xmax", "ymax"), one.box)) for one in page.painted.objects]
        boxes[stem] = {"height": height, "width": width, "bbox": [{"label": "polyp", **one} for one in corners]}
    return {**files, f"{root}/kavsir_bboxes.json": json.dumps(boxes).encode()}


DRAWINGS = {
    "isic2016": (dermoscopy.paint, isic2016),
    "dfuc2020": (wounds.paint, dfuc2020),
    "cpm17": (histology.paint, cpm17),
    "tbx11k": (radiograph.paint, tbx11k),
    "luna16": (tomography.paint, luna16),
    "adni_hippocampus": (brain.paint, adni),
    "tn3k": (ultrasound.paint, tn3k),
    "dfuc2022": (wounds.paint, dfuc2022),
    "kvasir_seg": (endoscopy.paint, kvasir_seg),
}
PAGES = {"luna16": 32, "adni_hippocampus": 6}  # scans with one or two nodules; subjects with eight slices that count


def _union(painted: Painted) -> Image.Image:
    """White where any object is."""
    mask = np.zeros(painted.image.size[::-1], bool)
    for one in painted.objects:
        mask |= one.mask
    return Image.fromarray(mask.astype(np.uint8) * 255)


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


def _jpeg(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _csv(rows: Iterable[Sequence]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue().encode()


def _matlab(content: dict[str, np.ndarray]) -> bytes:
    from scipy.io import savemat

    buffer = io.BytesIO()
    savemat(buffer, content, do_compression=True)
    return MATLAB_HEADER + buffer.getvalue()[len(MATLAB_HEADER) :]


def _digest(dataset_id: str, index: int) -> str:
    return hashlib.sha256(f"{dataset_id}:{index}".encode()).hexdigest()


def _radiograph_xml(stem: str, page: Page | None) -> str:
    """VOC-like XML in pixels of the original; an original has 9 to 13 pixels for one of the picture, plus one."""
    width, height = page.painted.image.size if page else (200, 200)
    factors = (9 + (page.index % 5), 9 + (page.index % 4)) if page else (10, 10)
    objects = ""
    for number, one in enumerate(page.painted.objects if page else []):
        name = ("ActiveTuberculosis", "ObsoletePulmonaryTuberculosis")[number % 2]
        corners = [(value + 1) * factor for value, factor in zip(one.box, factors * 2)]  # the script subtracts one
        objects += (
            f"\t<object>\n\t\t<name>{name}</name>\n\t\t<pose>unspecified</pose>\n\t\t<truncated>0</truncated>\n"
            "\t\t<difficult>0</difficult>\n\t\t<bndbox>\n\t\t\t<xmin>{}</xmin>\n\t\t\t<ymin>{}</ymin>\n"
            "\t\t\t<xmax>{}</xmax>\n\t\t\t<ymax>{}</ymax>\n\t\t</bndbox>\n\t</object>\n".format(*corners)
        )
    return (
        f"<annotation>\n\t<filename>{stem}</filename>\n\t<segmented>0</segmented>\n\t<size>\n"
        f"\t\t<width>{width * factors[0]}</width>\n\t\t<height>{height * factors[1]}</height>\n\t</size>\n"
        f"{objects}</annotation>\n"
    )


def _volume_header(size: Sequence[int], direction: np.ndarray, offset: np.ndarray, uid: str) -> str:
    matrix = " ".join(f"{value:g}" for value in np.diag(direction).ravel())
    return (
        "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\nCompressedData = False\n"
        f"TransformMatrix = {matrix}\nOffset = {' '.join(f'{value:g}' for value in offset)}\n"
        "CenterOfRotation = 0 0 0\nAnatomicalOrientation = RAI\n"
        f"ElementSpacing = {' '.join(f'{value:g}' for value in tomography.SPACING)}\n"
        f"DimSize = {' '.join(map(str, size))}\nElementType = MET_SHORT\nElementDataFile = {uid}.raw\n"
    )
