"""DICOM series and label volumes drawn on them, as slices. Reads with SimpleITK and pydicom (extra `medical`).

A series is what SimpleITK finds in a folder; its labels are one volume (NIfTI, NRRD, MetaImage) of the folder's name.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cones.data.files import files_below, is_hidden, plain
from cones.data.formats.records import NativeFiles, Record
from cones.data.formats.volumes import Slicing, Volume, reader, slices_of

FORMAT = {"name": "dicom"}
VERSION = 1
RENDERS = True
LABELS = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd")
APART = 1e-2  # mm, between where a series and its labels lie


class Parameters(Slicing):
    images: str = "series"  # folder of the series' folders
    patients: bool = True  # group by the header's PatientID; False: each series is a group of its own


def convert(native: NativeFiles, parameters: Parameters) -> Iterator[Record]:
    """One record per chosen slice, series by series; `item_id` is `<folder of the series>/<index>`.

    A folder with two series, a series without labels, and labels that do not lie on it are errors.
    """
    itk, pydicom = reader("SimpleITK", native), reader("pydicom", native)
    itk.ProcessObject.SetGlobalWarningDisplay(False)
    root = native.root(parameters.root)
    images = native.root((root / parameters.images).relative_to(native.raw).as_posix(), "format.images")
    series = dict(_series(images, itk, native))
    if not series:
        raise native.fault("no DICOM series here", images, next_step=native.mend("check the folder"))
    labels = _labels(root / parameters.labels)
    absent = [f"{parameters.labels}/{name}{LABELS[0]}" for name in series if name not in labels]
    if absent:
        native.leave_out_missing(absent, len(series), root / parameters.labels, what="label volumes")
    if stray := sorted(set(labels) - set(series)):
        raise native.fault(
            f"{len(stray)} label volumes have no series", labels[stray[0]], next_step=native.mend("remove them")
        )
    for name in sorted(set(series) & set(labels)):
        header = pydicom.dcmread(series[name][0], stop_before_pixels=True)
        _refuse_window_of_inverted(header, series[name][0], native, parameters)
        image, drawn = _read(series[name], itk, native), _read([labels[name]], itk, native)
        _refuse_apart(image, drawn, labels[name], native)
        volume = Volume(
            name,
            series[name][0],
            itk.GetArrayFromImage(image),
            itk.GetArrayFromImage(drawn),
            group=str(header.get("PatientID", "") or name) if parameters.patients else name,
        )
        yield from slices_of(volume, native, parameters)


def _refuse_window_of_inverted(header: Any, file: Path, native: NativeFiles, parameters: Parameters) -> None:
    """ConesError for a window on a MONOCHROME1 series: SimpleITK inverts its values, and no window fits those."""
    if header.get("PhotometricInterpretation") == "MONOCHROME1" and parameters.window != "full":
        raise native.fault(
            "low values of this picture are bright (MONOCHROME1), so a window of values means nothing",
            file,
            expected="window: full",
            found=parameters.window,
            next_step=f"set it in the dataset's `format` in {native.registry}",
        )


def _series(images: Path, itk: Any, native: NativeFiles) -> Iterator[tuple[str, list[Path]]]:
    """`(folder below `images`, its files in their order in space)` of each folder that holds a series."""
    folders = sorted({path.parent for path in files_below(images)})
    for folder in folders:
        if any(is_hidden(part) for part in folder.relative_to(images).parts):
            continue
        found = itk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
        if len(found) > 1:
            raise native.fault(
                f"the folder holds {len(found)} series",
                folder,
                expected="one series a folder, to which the labels of its name belong",
                next_step="give each series a folder of its own",
            )
        if found:
            files = itk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), found[0])
            yield plain(folder.relative_to(images).as_posix()), [Path(file) for file in files]


def _labels(folder: Path) -> dict[str, Path]:
    found = {}
    for path in files_below(folder):
        if ending := next((one for one in LABELS if path.name.lower().endswith(one)), None):
            found[plain(path.relative_to(folder).as_posix()[: -len(ending)])] = path
    return found


def _read(files: list[Path], itk: Any, native: NativeFiles) -> Any:
    """A volume turned so that its axes lead to the left, the back and the head of the patient."""
    try:
        names = [str(file) for file in files]
        image = itk.ReadImage(names[0]) if len(names) == 1 else itk.ReadImage(names)
        if image.GetDimension() == 2:
            image = itk.JoinSeries(image)
        if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
            raise RuntimeError(f"{image.GetDimension()} dimensions, {image.GetNumberOfComponentsPerPixel()} components")
        return itk.DICOMOrient(image, "LPS")
    except RuntimeError as error:
        words = str(error).strip().splitlines()[-1:]
        raise native.fault("not a readable volume", files[0], found=" ".join(words), next_step=native.mend()) from None


def _refuse_apart(image: Any, drawn: Any, file: Path, native: NativeFiles) -> None:
    """The labels must be voxel for voxel those of the series."""
    same_size = image.GetSize() == drawn.GetSize()
    places = [
        [*one.GetOrigin(), *one.GetSpacing(), *one.GetDirection()] if same_size else one.GetSize()
        for one in (image, drawn)
    ]
    if not same_size or max(abs(a - b) for a, b in zip(*places, strict=True)) > APART:
        raise native.fault(
            "the labels do not lie on the series",
            file,
            expected=[round(value, 2) for value in places[0]],
            found=[round(value, 2) for value in places[1]],
            next_step=native.mend("take the labels that were drawn on this series, or resample them to it"),
        )
