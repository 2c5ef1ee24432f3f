"""TBX11K, CSV boxes, ADNI slices, LUNA16 volumes: each on small native files, and on broken ones."""

import zlib

import numpy as np
import pytest
from PIL import Image

from cones.data.formats import adni, csv_boxes, luna16, tbx11k
from cones.data.metaimage import read_header
from cones.runtime.errors import ConesError
from tests.data.native import boxes, mask, picture, read

OBJECT = (
    "<object><name>{}</name><difficult>0</difficult><bndbox><xmin>{}</xmin><ymin>{}</ymin>"
    "<xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"
)
XML = "<annotation><filename>x</filename><size><width>{}</width><height>{}</height></size>{}</annotation>"


# TBX11K ---------------------------------------------------------------------------------------------------------------


def tbx_files(**changes):
    two = OBJECT.format("ActiveTuberculosis", 101, 203, 301, 403) + OBJECT.format(
        "ObsoletePulmonaryTuberculosis", 10, 10, 1000, 2000
    )
    files = {
        "TBX11K/lists/TBX11K_train.txt": b"tb/tb0001.png\ntb/tb1199.png\nhealth/h0001.png\n",
        "TBX11K/lists/TBX11K_val.txt": b"tb/tb0002.png\n",
        "TBX11K/annotations/xml/tb0001.xml": XML.format(1000, 2000, two).encode(),
        "TBX11K/annotations/xml/tb0002.xml": XML.format(2000, 2000, OBJECT.format("ActiveTuberculosis", 8, 8, 40, 40)),
        "TBX11K/annotations/xml/tb1199.xml": XML.format(2017, 2008, ""),
        "TBX11K/imgs/tb/tb0001.png": picture(100, 100, "PNG"),
        "TBX11K/imgs/tb/tb0002.png": picture(100, 100, "PNG"),
        "TBX11K/imgs/tb/tb1199.png": picture(100, 100, "PNG"),
    }
    files |= {f"TBX11K/{name}": content for name, content in changes.items()}
    return {name: one.encode() if isinstance(one, str) else one for name, one in files.items() if one is not None}


def tbx(tmp_path, files, **parameters):
    return read(tbx11k, tmp_path, files, classes=["tuberculosis"], **parameters)


def test_tbx_corners_are_scaled_from_the_original_and_shifted(tmp_path):
    records, notes = tbx(tmp_path, tbx_files())
    assert [(one.item_id, one.split) for one in records] == [("tb0001", "train"), ("tb0002", "val")]
    assert boxes(records[0])[0] == pytest.approx((9.1, 9.15, 20, 10))
    assert {one.class_name for record in records for one in record.objects} == {"tuberculosis"}
    assert notes == {"XML without <object>, picture left out": ["TBX11K/annotations/xml/tb1199.xml"]}


def test_tbx_scaling_can_be_left_out(tmp_path):
    records, _ = tbx(tmp_path, tbx_files(), rescale=False, subtract=0)
    assert boxes(records[0])[0] == (101, 203, 200, 200)


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"annotations/xml/tb0001.xml": None}, r"tb0001\.xml: the XML of a listed picture is missing"),
        ({"annotations/xml/tb0001.xml": "<annotation>"}, r"tb0001\.xml: broken XML"),
        ({"annotations/xml/tb0001.xml": XML.format("", "", OBJECT)}, "does not state the size"),
        ({"annotations/xml/tb0001.xml": XML.format(9, 9, OBJECT.format("Flu", 1, 1, 2, 2))}, 'unknown class "Flu"'),
        (
            {"annotations/xml/tb0001.xml": XML.format(9, 9, OBJECT.format("ActiveTuberculosis", 1, "", 2, 2))},
            "no usable <bndbox>",
        ),
        ({"imgs/tb/tb0001.png": None}, r"imgs/tb/tb0001\.png: the picture is missing"),
        ({"lists/TBX11K_val.txt": None}, "list of pictures cannot be read"),
        ({"lists/TBX11K_val.txt": "health/h1.png\n"}, "no picture of tb/ is listed"),
        ({"lists/TBX11K_val.txt": "tb/../../x.png\n"}, "leaves its folder"),
    ],
)
def test_tbx_faults(tmp_path, changes, words):
    with pytest.raises(ConesError, match=f"dataset cells: TBX11K/.*{words}"):
        tbx(tmp_path, tbx_files(**changes))


# a CSV of boxes -------------------------------------------------------------------------------------------------------


def csv_files(rows="a.jpg,1,2,11,22\na.jpg,20,5,30,15\nb,3,3,9,9\n", header="name,xmin,ymin,xmax,ymax\n"):
    files = {f"images/{name}.jpg": picture() for name in "abc"}
    return {**files, "groundtruth.csv": (header + rows).encode()}


def test_csv_boxes_with_several_rows_and_none(tmp_path):
    records, notes = read(csv_boxes, tmp_path, csv_files())
    assert [boxes(record) for record in records] == [[(1, 2, 10, 20), (20, 5, 10, 10)], [(3, 3, 6, 6)], []]
    assert notes == {"a picture without a row in the CSV, kept as a picture without boxes": ["images/c.jpg"]}


def test_csv_columns_are_parameters(tmp_path):
    files = csv_files("a.jpg,1,2,11,22\n", "\ufefffile,l,t,r,b\n")
    records, _ = read(csv_boxes, tmp_path, files, picture="file", corners=("l", "t", "r", "b"))
    assert boxes(records[0]) == [(1, 2, 10, 20)]


@pytest.mark.parametrize(
    "files, words",
    [
        (csv_files("d.jpg,1,2,3,4\n"), "1 of 1 listed pictures are missing; expected images/d.jpg"),
        (csv_files("a.jpg,1,x,3,4\n"), "line 2 holds no box"),
        (csv_files("a.jpg,1,2\n"), "line 2 holds no box"),
        (csv_files(header="file,xmin,ymin,xmax,ymax\n"), 'no column "name"'),
        ({"groundtruth.csv": b""}, "no picture here"),
        ({"images/a.jpg": picture()}, "cannot be read"),
    ],
)
def test_csv_faults(tmp_path, files, words):
    with pytest.raises(ConesError, match=f"dataset cells: .*{words}.*next: "):
        read(csv_boxes, tmp_path, files)


# ADNI -----------------------------------------------------------------------------------------------------------------


def adni_files(levels=(8, 9, 10, 11)):
    """Two subjects; a left object grows with the level, a right one shows in the last two; the first slice is empty."""
    files = {}
    for cohort, subject, marker in (("100", "A_ACPC", "ACPC"), ("35", "B_tal_noscale", "tal_noscale")):
        for at, level in enumerate(levels):
            sides = {"L": [(2, 2, 2 + 4 * at, 8)] if at else [], "R": [(25, 10, 32, 20)] if at > 1 else []}
            files[f"original/{cohort}/{subject}/{subject}{level}.jpg"] = picture()
            for side, shown in sides.items():
                name = subject.replace(marker, side)
                files[f"label/{cohort}label/{subject}/{name}/{name}{level}.jpg"] = mask(*shown, kind="JPEG")
    return files


def test_adni_unites_sides_and_pairs_by_number(tmp_path):
    records, notes = read(adni, tmp_path, adni_files())
    assert [record.item_id for record in records[:3]] == ["A_ACPC/001", "A_ACPC/002", "A_ACPC/003"]
    assert {record.group for record in records} == {"A_ACPC", "B_tal_noscale"} and len(records) == 6
    assert records[0].image == "original/100/A_ACPC/A_ACPC9.jpg"  # 8 before 10, though "10" < "8"
    assert [len(record.objects) for record in records[:3]] == [1, 2, 2]
    assert boxes(records[2]) == [(2, 2, 12, 6), (25, 10, 7, 10)]
    assert len(notes["a slice without hippocampus, left out"]) == 2


def test_adni_keeps_the_slices_with_the_largest_foreground(tmp_path):
    records, notes = read(adni, tmp_path, adni_files(), largest=4)
    assert [record.item_id[-3:] for record in records] == ["002", "003", "002", "003"]
    assert len(notes["beyond the 4 slices with the largest foreground, left out"]) == 2


@pytest.mark.parametrize(
    "missing, words",
    [
        ("label/100label/A_ACPC/A_L/A_L9.jpg", "A_L: pictures and masks differ in number; expected 4.*found 3"),
        ("label/35label/B_tal_noscale/B_R", "B_R: a folder of masks is missing"),
        ("original/35", "original/35: no subject here"),
    ],
)
def test_adni_faults(tmp_path, missing, words):
    files = {name: content for name, content in adni_files().items() if not name.startswith(missing)}
    with pytest.raises(ConesError, match=f"dataset cells: .*{words}"):
        read(adni, tmp_path, files)


def test_adni_refuses_a_mask_of_another_size_and_an_unknown_name(tmp_path):
    files = adni_files()
    files["label/100label/A_ACPC/A_R/A_R9.jpg"] = mask(width=30, kind="JPEG")
    with pytest.raises(ConesError, match=r"A_R9\.jpg: the mask is not of its picture's size"):
        read(adni, tmp_path / "a", files)
    renamed = {name.replace("A_ACPC", "A_XYZ"): content for name, content in adni_files().items()}
    with pytest.raises(ConesError, match="expected a name with ACPC or tal_noscale"):
        read(adni, tmp_path / "b", renamed)


# LUNA16 ---------------------------------------------------------------------------------------------------------------

SIZE, SPACING, OFFSET = (32, 24, 8), (0.5, 0.75, 2.0), (-10.0, 20.0, -300.0)


def volume(uid="a", direction="1 0 0 0 1 0 0 0 1", compressed=False, **changes):
    hounsfield = np.full(SIZE[::-1], -1200, "<i2")
    hounsfield[:, 1, 2] = np.arange(8) * 200 - 1000  # a column whose grey tells the slice
    data = hounsfield.tobytes()
    keys = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": str(compressed),
        "TransformMatrix": direction,
        "Offset": " ".join(map(str, OFFSET)),
        "ElementSpacing": " ".join(map(str, SPACING)),
        "DimSize": " ".join(map(str, SIZE)),
        "ElementType": "MET_SHORT",
        "ElementDataFile": f"{uid}.raw",
        **changes,
    }
    header = "".join(f"{key} = {value}\n" for key, value in keys.items())
    return {f"subset0/{uid}.mhd": header.encode(), f"subset0/{uid}.raw": zlib.compress(data) if compressed else data}


def luna(tmp_path, rows, *volumes, **parameters):
    files = {"annotations.csv": ("seriesuid,coordX,coordY,coordZ,diameter_mm\n" + rows).encode()}
    for one in volumes or [volume()]:
        files |= one
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    return read(luna16, tmp_path / "raw", files, classes=["nodule"], pictures=pictures, **parameters)


@pytest.mark.parametrize("compressed", [False, True])
def test_luna_world_to_slice_and_box(tmp_path, compressed):
    # voxel (12, 8, 3) -> world
    (record,), notes = luna(tmp_path, "a,-4,26,-294,6\n", volume(compressed=compressed))
    assert record.item_id == "a#0" and record.group == "a" and record.split is None and notes == {}
    assert boxes(record) == [pytest.approx((12.5 - 6, 8.5 - 4, 12, 8))]  # 6 mm are 12 and 8 pixels
    image = Image.open(tmp_path / "pictures" / record.image)
    assert image.size == SIZE[:2] and image.mode == "L"
    assert image.getpixel((2, 1)) == round((600) / 1400 * 255) and image.getpixel((0, 0)) == 0


def test_luna_half_pixel_and_window_are_parameters(tmp_path):
    (record,), _ = luna(tmp_path, "a,-4,26,-294,6\n", half_pixel=False, window=(-1000, 1000))
    assert boxes(record) == [pytest.approx((12 - 6, 8 - 4, 12, 8))]
    assert Image.open(tmp_path / "pictures" / record.image).getpixel((2, 1)) == round(600 / 2000 * 255)


def test_luna_direction_counts(tmp_path):
    flipped = volume(direction="-1 0 0 0 -1 0 0 0 1")
    (record,), _ = luna(tmp_path, "a,-16,14,-294,6\n", flipped)  # the same voxel (12, 8, 3)
    assert boxes(record) == [pytest.approx((6.5, 4.5, 12, 8))]


def test_a_header_lists_one_axis_a_row(tmp_path):
    # a quarter turn about z: the file's first row is the direction of x
    path = tmp_path / "a.mhd"
    path.write_bytes(volume(direction="0 1 0 -1 0 0 0 0 1")["subset0/a.mhd"])
    x, y = np.add(OFFSET, (0, 0.5, 0)), np.add(OFFSET, (-0.75, 0, 0))
    assert read_header(path).voxel(tuple(x)) == pytest.approx((1, 0, 0))
    assert read_header(path).voxel(tuple(y)) == pytest.approx((0, 1, 0))


def test_luna_boxes_other_nodules_that_cross_the_slice(tmp_path):
    rows = "a,-4,26,-294,6\na,0,30,-292,6\na,0,30,-286,4\n"  # slices 3, 4 and 7
    records, _ = luna(tmp_path, rows)
    assert [len(record.objects) for record in records] == [2, 2, 1]
    chord = 2 * np.sqrt(9 - 4)
    assert boxes(records[0])[1][2:] == pytest.approx((chord / 0.5, chord / 0.75))
    alone, _ = read(
        luna16, tmp_path / "raw", {}, classes=["nodule"], pictures=tmp_path / "pictures", other_nodules=False
    )
    assert [len(record.objects) for record in alone] == [1, 1, 1]


def test_luna_a_centre_outside_the_volume_takes_the_outermost_slice(tmp_path):
    (record,), notes = luna(tmp_path, "a,-4,26,-280,6\n")
    assert list(notes.values()) == [["subset0/a.mhd"]] and len(record.objects) == 1


@pytest.mark.parametrize(
    "rows, change, words",
    [
        ("b,1,2,3,4\n", {}, "1 of 1 volumes with nodules are missing.*b.mhd"),
        ("a,1,2,3\n", {}, "annotations.csv: line 2 is no nodule"),
        ("a,1,2,3,-4\n", {}, "line 2 is no nodule"),
        ("a,1,2,nan,4\n", {}, "line 2 is no nodule"),
        ("a,1,2,3,4\n", {"subset0/a.raw": None}, r"a\.raw: the pixels of the volume are missing"),
        ("a,1,2,3,4\n", {"subset0/a.raw": b"short"}, r"a\.raw: the volume is not of the size.*found 5 bytes"),
        ("a,1,2,3,4\n", {"subset0/a.mhd": b"<html>"}, r"a\.mhd: not a MetaImage header"),
        ("a,1,2,3,4\n", volume(DimSize="32 24"), "not the header of a volume"),
        ("a,1,2,3,4\n", volume(DimSize="x"), "not a usable MetaImage header"),
        ("a,1,2,3,4\n", volume(ElementType="MET_OTHER"), "kind of volume that is not read"),
        ("a,1,2,3,4\n", volume(CompressedData="True"), "do not decompress"),
    ],
)
def test_luna_faults(tmp_path, rows, change, words):
    files = {name: content for name, content in {**volume(), **change}.items() if content is not None}
    with pytest.raises(ConesError, match=f"dataset cells: .*{words}"):
        luna(tmp_path, rows, files)
