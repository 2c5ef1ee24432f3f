"""Real native pieces of the medical datasets, where they are present: `shared/data` beside the checkout."""

import dataclasses
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cones.data import coco
from cones.data.download import fetch
from cones.data.formats import isic2016, kvasir_seg, luna16, masks, tbx11k, tn3k
from cones.data.formats.records import NativeFiles
from cones.data.prepare import prepare
from cones.data.registry import ImageCounts, SplitRule, dataset_named
from cones.data.splits import LISTS, holdout80, split_items, stable_order
from tests.data.native import mask, picture

BESIDE = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def piece(*parts):
    """A folder or file of the real pieces; the test skips where it is absent."""
    path = Path(os.environ.get("CONES_TEST_PIECES", BESIDE), *parts)
    if not path.exists():
        pytest.skip(f"real pieces are not here: set CONES_TEST_PIECES to a folder that holds {'/'.join(parts)}")
    return path


def sizes(splits):
    return tuple(len(splits[split]) for split in ("train", "val", "test"))


@pytest.fixture(scope="module")
def tbx_mirror(tmp_path_factory):
    """All 800 XML and lists; the 770 pictures that are not there are black ones of the right size."""
    real, mirror = piece("tbx11k_sample", "TBX11K"), tmp_path_factory.mktemp("mirror")
    tree = mirror / "tbx11k" / "TBX11K"
    pictures = tree / "imgs" / "tb"
    pictures.mkdir(parents=True)
    (tree / "annotations").mkdir()
    (tree / "annotations" / "xml").symlink_to(real / "annotations" / "xml")
    (tree / "lists").symlink_to(real / "lists")
    black = pictures / "black.png"
    Image.new("L", (512, 512)).save(black)
    for xml in (real / "annotations" / "xml").glob("*.xml"):
        name = f"{xml.stem}.png"
        present = real / "imgs" / "tb" / name
        (pictures / name).symlink_to(present if present.exists() else black)
    return mirror


def test_tbx11k_from_the_tree_to_the_papers_counts(tbx_mirror, tmp_path):
    dataset = dataset_named("tbx11k")
    fetch(dataset, "official", tmp_path, mirror=tbx_mirror)
    manifest = prepare(dataset, "official", tmp_path)
    splits = manifest["splits"]
    assert [splits[split]["images"] for split in ("train", "val", "test")] == [479, 120, 200]
    assert splits["train"]["boxes"] + splits["val"]["boxes"] == 902 and splits["test"]["boxes"] == 309
    report = manifest["report"]
    assert report["dropped"]["count"] == 0 and report["clipped"]["count"] <= 12
    assert report["notes"] == {
        "XML without <object>, picture left out": {"count": 1, "examples": ["TBX11K/annotations/xml/tb1199.xml"]}
    }


def test_tbx11k_boxes_lie_in_the_pictures(tbx_mirror):
    native = NativeFiles(dataset_id="tbx11k", raw=tbx_mirror / "tbx11k", classes=["tuberculosis"])
    records = {record.item_id: record for record in tbx11k.convert(native, tbx11k.Parameters())}
    assert len(records) == 799 and {one.class_name for r in records.values() for one in r.objects} == {"tuberculosis"}
    x, y, width, height = records["tb0003"].objects[0].box  # 1446, 250, 2007, 1017 of 2840 x 2827
    assert (x, y) == pytest.approx((1446 * 512 / 2840 - 1, 250 * 512 / 2827 - 1))
    assert (width, height) == pytest.approx((561 * 512 / 2840, 767 * 512 / 2827))
    for record in records.values():
        for one in record.objects:
            assert one.box[0] >= -1 and one.box[0] + one.box[2] <= 512 and one.box[2] > 0 and one.box[3] > 0


def test_luna16_nodules_split_as_in_the_paper():
    file = piece("paper_dataset_snippets", "luna16", "annotations.csv")
    native = NativeFiles(dataset_id="luna16", raw=file.parent, classes=["nodule"])
    nodules = luna16.read_nodules(file, native)
    assert len(nodules) == 1186 and len({nodule.series for nodule in nodules}) == 601
    diameters = [nodule.diameter for nodule in nodules]
    assert round(min(diameters), 3) == 3.253 and round(max(diameters), 2) == 32.27
    items = [(nodule.item_id, None) for nodule in nodules]
    assert len(set(items)) == 1186
    groups = {nodule.item_id: nodule.series for nodule in nodules}
    source = dataset_named("luna16").source("official")
    for rule in (source.split, SplitRule(rule="group_fill")):
        splits = split_items(
            dataset_id="luna16", items=items, groups=groups, rule=rule, expected=source.expected.images
        )
        assert sizes(splits) == (759, 190, 237)
    series = [{groups[item] for item in splits[split]} for split in ("train", "val", "test")]
    assert sum(map(len, series)) == 601  # group_fill: no patient in two splits


@pytest.mark.parametrize("fold, expected", [(0, (2303, 576)), (1, (2303, 576)), (3, (2303, 576)), (4, (2304, 575))])
def test_tn3k_folds(fold, expected):
    file = piece("paper_dataset_snippets", "tn3k", f"tn3k-trainval-fold{fold}.json")
    native = NativeFiles(dataset_id="tn3k", raw=file.parent, classes=["thyroid nodule"])
    splits = tn3k.read_fold(file, 2879, native)
    assert (splits.count("train"), splits.count("val")) == expected
    assert fold or [at for at, split in enumerate(splits) if split == "val"] == list(range(0, 2879, 5))


def test_tn3k_test_masks():
    folder = piece("paper_dataset_snippets", "tn3k", "test-mask")
    parameters = tn3k.Parameters()
    counts = Counter()
    for file in sorted(folder.glob("*.jpg")):
        grey = np.asarray(Image.open(file).convert("L"))
        counts[len(masks.objects_of(grey > parameters.threshold, parameters, "nodule"))] += 1
    assert sum(counts.values()) == 614
    assert counts == {1: 544, 2: 65, 3: 4, 4: 1}


def test_kvasir_pairs_and_list(tmp_path):
    root = piece("paper_dataset_snippets", "kvasir_seg")
    native = NativeFiles(dataset_id="kvasir_seg", raw=root, classes=["polyp"])
    records = list(kvasir_seg.convert(native, kvasir_seg.Parameters()))
    assert len(records) == 5 and all(record.objects for record in records)
    validated = coco.gate(records, native)
    assert validated.report.clipped == validated.report.dropped == []
    for record in records:
        *_, width, height = record.objects[0].box
        assert 100 < record.objects[0].area < width * height
    assert (root / "pranet_test100_ids.txt").read_text().split() == (LISTS / "kvasir_test_ids.txt").read_text().split()


def test_foot_ulcer_masks():
    root = piece("fuseg_sample")
    native = NativeFiles(dataset_id="dfuc2022", raw=root, classes=["ulcer"])
    folders = [masks.Folder(images=f"{split}/images", masks=f"{split}/labels") for split in ("train", "validation")]
    regions = dataset_named("dfuc2022").source("official").format.parameters
    kept = {key: regions[key] for key in ("objects", "min_area", "keep_masks", "allow_empty")}
    records = list(masks.convert(native, masks.Parameters(folders=folders, **kept)))
    assert len(records) == 40
    validated = coco.gate([dataclasses.replace(one, item_id=one.image) for one in records], native)
    assert validated.report.clipped == validated.report.dropped == []
    assert sum(len(record.objects) for record in records) >= 38
    assert all(one.segmentation["size"] == [512, 512] for record in records for one in record.objects)


def test_isic_labels(tmp_path):
    file = piece("paper_dataset_snippets", "isic2016", "ISBI2016_ISIC_Part3_Training_GroundTruth.csv")
    dataset = dataset_named("isic2016")
    source = dataset.source("official")
    parameters = isic2016.Parameters.model_validate(source.format.parameters)
    native = NativeFiles(dataset_id="isic2016", raw=file.parent, classes=dataset.classes)
    labels = isic2016.read_labels(file, native, parameters)
    assert Counter(labels.values()) == {"skin lesion": 727, "melanoma": 173}
    assert sizes(holdout80(stable_order("isic2016", labels))) == (720, 180, 0)


def test_isic_from_900_real_ids_to_the_papers_counts(tmp_path):
    """The real CSV with made-up pictures and a made-up test part."""
    file = piece("paper_dataset_snippets", "isic2016", "ISBI2016_ISIC_Part3_Training_GroundTruth.csv")
    stems = [line.split(",")[0] for line in file.read_text().splitlines()[1:]]
    root = tmp_path / "mirror" / "isic2016"
    extra = [f"ISIC_9{number:06d}" for number in range(379)]
    for part, ids in (("Training", stems), ("Test", extra)):
        for kind, suffix, content in (("Data", ".jpg", picture()), ("GroundTruth", "_Segmentation.png", None)):
            folder = root / f"ISBI2016_ISIC_Part1_{part}_{kind}"
            folder.mkdir(parents=True)
            for stem in ids:
                (folder / f"{stem}{suffix}").write_bytes(content or mask((3, 3, 20, 20)))
    (root / file.name).write_bytes(file.read_bytes())
    (root / file.name.replace("Training", "Test")).write_text("".join(f"{stem},0.0\n" for stem in extra))
    dataset = dataset_named("isic2016")
    fetch(dataset, "official", tmp_path, mirror=tmp_path / "mirror")
    splits = prepare(dataset, "official", tmp_path)["splits"]
    assert [splits[split]["images"] for split in ("train", "val", "test")] == [720, 180, 379]
    assert splits["train"]["per_class"]["melanoma"] + splits["val"]["per_class"]["melanoma"] == 173


def test_the_papers_counts_are_asked_of_the_official_files():
    counts = {
        "isic2016": (720, 180, 379),
        "dfuc2020": (448, 127, 63),
        "cpm17": (25, 7, 32),
        "tbx11k": (479, 120, 200),
        "luna16": (759, 190, 237),
        "adni_hippocampus": (2590, 589, 818),
        "tn3k": (2303, 576, 614),
        "dfuc2022": (1280, 320, 400),
        "kvasir_seg": (718, 182, 100),
    }
    for name, (train, val, test) in counts.items():
        expected = dataset_named(name).source("official").expected.images
        assert expected == ImageCounts(train=train, val=val, test=test)
