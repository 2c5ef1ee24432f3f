"""Formats nifti and dicom: the same patient comes out the same, however the scan is stored."""

import numpy as np
import pytest
from PIL import Image

from cones.data.formats import dicom, nifti
from cones.data.formats.records import NativeFiles
from cones.runtime.errors import ConesError
from tests.data.own import DIVIDED, SPLITS, prepared
from tests.data.volumes import SHAPE, scan, write_labels_of_series, write_nifti, write_series

VALUES = {1: "organ", 2: "lesion"}


def converted(converter, tmp_path, classes=("organ", "lesion"), exclude=(), **parameters):
    (tmp_path / "raw").mkdir()
    native = NativeFiles(
        dataset_id="scans", raw=tmp_path, classes=list(classes), pictures=tmp_path / "raw", own=True,
        exclude=frozenset(exclude),
    )  # fmt: skip
    settings = {"axis": "axial", "window": (0, 1000), "values": VALUES, **parameters}
    return {one.item_id: one for one in converter.convert(native, converter.Parameters(**settings))}, native


def picture(tmp_path, record):
    return np.asarray(Image.open(tmp_path / "raw" / record.image))


class TestNifti:
    @pytest.fixture(autouse=True)
    def _needs_nibabel(self):
        pytest.importorskip("nibabel")

    @pytest.mark.parametrize("axes", ["RAS", "LPS", "LAS", "ASL", "SPR"])
    def test_axial_slices_in_whichever_orientation_the_file_has(self, tmp_path, axes):
        values, labels = scan()
        write_nifti(tmp_path / "images/p1.nii.gz", values, axes)
        write_nifti(tmp_path / "labels/p1.nii.gz", labels, axes)
        records, _ = converted(nifti, tmp_path)
        assert list(records) == ["p1/0001", "p1/0002"]
        assert [(one.class_name, one.box) for one in records["p1/0002"].objects] == [
            ("organ", (3, 2, 7, 4)),
            ("lesion", (12, 8, 3, 3)),
        ]
        shades = picture(tmp_path, records["p1/0002"])
        assert (shades == np.round(np.clip(values[2] / 1000, 0, 1) * 255)).all()
        assert records["p1/0002"].group == "p1"

    @pytest.mark.parametrize(
        "axis, shape, box", [("coronal", (4, 16), (3, 1, 7, 2)), ("sagittal", (4, 12), (2, 1, 4, 2))]
    )
    def test_other_axes_stand_upright(self, tmp_path, axis, shape, box):
        values, labels = scan()
        write_nifti(tmp_path / "images/p1.nii", values)
        write_nifti(tmp_path / "labels/p1.nii", labels)
        records, _ = converted(nifti, tmp_path, axis=axis)
        record = records["p1/0003"]
        assert picture(tmp_path, record).shape == shape
        assert [one.box for one in record.objects if one.class_name == "organ"] == [box]
        head_above = picture(tmp_path, record)[: shape[0] // 2] > 200  # slices 3 and 2: the block reaches to slice 2
        assert head_above[1].any() and not head_above[0].any()

    def test_all_slices_every_second_masks_and_exclusion(self, tmp_path):
        values, labels = scan()
        write_nifti(tmp_path / "images/p1_0000.nii.gz", values)
        write_nifti(tmp_path / "labels/p1.nii.gz", labels)
        settings = {"slices": "all", "every": 2, "keep_masks": True, "image_suffix": "_0000", "exclude": ["p1/0000"]}
        records, native = converted(nifti, tmp_path, **settings)
        assert list(records) == ["p1/0002"] and native.excluded == {"p1/0000"}
        assert records["p1/0002"].objects[0].area == 28 and records["p1/0002"].objects[0].segmentation["size"] == [
            12,
            16,
        ]

    @pytest.mark.parametrize(
        "change, words",
        [
            ({"values": {1: "organ"}}, "the label 2 has no class.*`values`"),
            ({"window": (2000, 3000)}, "no value of the volume lies in the window.*found 80 to 1000"),
            ({"values": None}, "nothing here tells classes apart"),
        ],
    )
    def test_what_the_entry_must_say(self, tmp_path, change, words):
        values, labels = scan()
        write_nifti(tmp_path / "images/p1.nii", values)
        write_nifti(tmp_path / "labels/p1.nii", labels)
        with pytest.raises(ConesError, match=words):
            converted(nifti, tmp_path, **change)

    def test_labels_of_another_scan_are_refused(self, tmp_path):
        import nibabel

        values, labels = scan()
        write_nifti(tmp_path / "images/p1.nii", values)
        write_nifti(tmp_path / "labels/p1.nii", labels)
        moved = nibabel.load(tmp_path / "labels/p1.nii")
        affine = moved.affine.copy()
        affine[0, 3] += 5
        nibabel.save(nibabel.Nifti1Image(np.asarray(moved.dataobj), affine), tmp_path / "labels/p1.nii")
        with pytest.raises(ConesError, match=r"labels/p1\.nii: volume and labels do not lie alike"):
            converted(nifti, tmp_path)

    @pytest.mark.parametrize(
        "lost, words",
        [
            ("images/p1.nii", "1 label volumes have no volume"),
            ("labels/p1.nii", "1 of 2 label volumes are missing.*`allow_missing: 1`"),
        ],
    )
    def test_a_pair_that_is_none(self, tmp_path, lost, words):
        for name in ("p1", "p2"):
            write_nifti(tmp_path / f"images/{name}.nii", scan()[0])
            write_nifti(tmp_path / f"labels/{name}.nii", scan()[1])
        (tmp_path / lost).unlink()
        with pytest.raises(ConesError, match=words):
            converted(nifti, tmp_path)

    def test_a_damaged_volume_is_named(self, tmp_path):
        write_nifti(tmp_path / "labels/p1.nii.gz", scan()[1])
        (tmp_path / "images").mkdir()
        (tmp_path / "images/p1.nii.gz").write_bytes((tmp_path / "labels/p1.nii.gz").read_bytes()[:60])
        with pytest.raises(ConesError, match=r"images/p1\.nii\.gz: not a readable NIfTI volume"):
            converted(nifti, tmp_path)

    def test_patients_of_slices_stay_whole_from_folder_to_splits(self, tmp_path):
        for n in range(10):
            values, labels = scan(n)
            write_nifti(tmp_path / f"cells/images/patient{n}.nii.gz", values)
            write_nifti(tmp_path / f"cells/labels/patient{n}.nii.gz", labels)
        form = {"name": "nifti", "axis": "axial", "window": [0, 1000], "values": VALUES}
        rule = {**DIVIDED, "patients": "^(patient[0-9]+)/"}
        result = prepared(tmp_path, {}, format=form, split=rule, classes=("organ", "lesion"))
        assert result.counts() == [12, 4, 4]
        assert result.report["groups"] == {"count": 10, "in_two_splits": 0, "examples": []}


class TestDicom:
    @pytest.fixture(autouse=True)
    def _needs_its_readers(self):
        pytest.importorskip("SimpleITK")
        pytest.importorskip("pydicom")

    def put(self, tmp_path, name="a/ct", patient="P7", **how):
        values, labels = scan()
        write_series(tmp_path / "series" / name, values, patient, **how)
        write_labels_of_series(tmp_path / f"labels/{name}.nii.gz", labels)
        return values

    def test_a_series_in_its_order_in_space_with_the_patient_of_its_header(self, tmp_path):
        values = self.put(tmp_path)
        records, _ = converted(dicom, tmp_path)
        assert list(records) == ["a/ct/0001", "a/ct/0002"] and records["a/ct/0001"].group == "P7"
        assert [one.box for one in records["a/ct/0002"].objects] == [(3, 2, 7, 4), (12, 8, 3, 3)]
        shades = picture(tmp_path, records["a/ct/0002"])
        assert (shades == np.round(np.clip(values[2] / 1000, 0, 1) * 255)).all()

    def test_low_values_that_are_bright_are_shown_bright(self, tmp_path):
        values = self.put(tmp_path, photometric="MONOCHROME1")
        with pytest.raises(ConesError, match=r"low values of this picture are bright.*expected window: full"):
            converted(dicom, tmp_path)
        (tmp_path / "raw").rmdir()
        records, _ = converted(dicom, tmp_path, window="full")
        shades = picture(tmp_path, records["a/ct/0001"]).astype(float)
        assert np.corrcoef(shades.ravel(), values[1].ravel())[0, 1] < -0.99 and shades.max() > 250

    def test_two_series_in_one_folder_are_refused(self, tmp_path):
        self.put(tmp_path)
        write_series(tmp_path / "series/b", scan(1)[0], "P8")
        for file in (tmp_path / "series/b").iterdir():
            file.rename(tmp_path / "series/a/ct" / f"other_{file.name}")
        with pytest.raises(ConesError, match=r"series/a/ct: the folder holds 2 series"):
            converted(dicom, tmp_path)

    def test_labels_of_another_size_or_place_are_refused(self, tmp_path):
        self.put(tmp_path)
        write_labels_of_series(tmp_path / "labels/a/ct.nii.gz", scan()[1][:3])
        with pytest.raises(ConesError, match=rf"the labels do not lie on the series; expected \[16, 12, {SHAPE[0]}\]"):
            converted(dicom, tmp_path)

    def test_a_series_without_labels(self, tmp_path):
        self.put(tmp_path)
        write_series(tmp_path / "series/b", scan(1)[0], "P8")
        with pytest.raises(ConesError, match=r"1 of 2 label volumes are missing; expected labels/b\.nii\.gz"):
            converted(dicom, tmp_path)

    def test_from_a_folder_to_splits(self, tmp_path):
        for n in range(6):
            values, labels = scan(n)
            write_series(tmp_path / f"cells/series/{n}", values, f"P{n // 2}")
            write_labels_of_series(tmp_path / f"cells/labels/{n}.nrrd", labels)
        form = {"name": "dicom", "axis": "axial", "window": "full", "values": VALUES}
        result = prepared(tmp_path, {}, format=form, split=DIVIDED, classes=("organ", "lesion"))
        assert sum(result.counts()) == 12 and result.report["groups"]["count"] == 3
        assert all((result.folder / "raw" / name).is_file() for split in SPLITS for name in result.objects())


def test_without_the_extra_the_message_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "nibabel", None)
    with pytest.raises(ConesError, match=r"this format needs nibabel.*cones\[medical\]"):
        converted(nifti, tmp_path)
