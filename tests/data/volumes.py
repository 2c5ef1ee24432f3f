"""Small made-up scans: a patient in an array (S, H, W), written as NIfTI in any orientation and as DICOM series."""

from pathlib import Path

import numpy as np

SHAPE = (4, 12, 16)  # slices from the feet to the head, rows from front to back, columns from right to left


def scan(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(values, labels), both (S, H, W): noise around 100, a bright block 1 in slices 1 and 2, another 2 in slice 2."""
    values = np.random.default_rng(seed).integers(80, 120, SHAPE).astype(np.int16)
    labels = np.zeros(SHAPE, np.uint8)
    labels[1:3, 2:6, 3:10] = 1
    labels[2, 8:11, 12:15] = 2
    values[labels == 1] = 1000
    values[labels == 2] = 600
    return values, labels


def write_nifti(path: Path, array: np.ndarray, axes: str = "RAS") -> None:
    """Stored along `axes` (nibabel's letters, such as LPS): other files of the same patient."""
    import nibabel

    path.parent.mkdir(parents=True, exist_ok=True)
    canonical = nibabel.Nifti1Image(array.transpose(2, 1, 0)[::-1, ::-1, :], np.diag([0.8, 0.8, 3, 1]))
    here = nibabel.orientations.io_orientation(canonical.affine)
    there = nibabel.orientations.axcodes2ornt(axes)
    turned = canonical.as_reoriented(nibabel.orientations.ornt_transform(here, there))
    nibabel.save(turned, path)


def write_series(folder: Path, array: np.ndarray, patient: str, *, photometric: str = "MONOCHROME2") -> None:
    """Axial slices, one file each, whose names say nothing of their order."""
    import pydicom
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    folder.mkdir(parents=True, exist_ok=True)
    series, study = generate_uid(), generate_uid()
    for z, rows in enumerate(array):
        meta = pydicom.dataset.FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = CTImageStorage, ExplicitVRLittleEndian
        meta.MediaStorageSOPInstanceUID = generate_uid()
        one = pydicom.Dataset()
        one.file_meta = meta
        one.SOPClassUID, one.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        one.SeriesInstanceUID, one.StudyInstanceUID, one.Modality = series, study, "CT"
        one.PatientID, one.PatientName, one.InstanceNumber = patient, "", z + 1
        one.ImagePositionPatient, one.ImageOrientationPatient = [0, 0, 3.0 * z], [1, 0, 0, 0, 1, 0]
        one.PixelSpacing, one.SliceThickness = [0.8, 0.8], 3
        one.Rows, one.Columns = rows.shape
        one.SamplesPerPixel, one.PhotometricInterpretation, one.PixelRepresentation = 1, photometric, 1
        one.BitsAllocated, one.BitsStored, one.HighBit = 16, 16, 15
        one.RescaleSlope, one.RescaleIntercept = 1, -1024
        one.PixelData = (rows.astype(np.int16) + 1024).astype("<i2").tobytes()
        one.save_as(folder / f"{(7 * z) % 11:02d}.dcm", enforce_file_format=True)


def write_labels_of_series(path: Path, array: np.ndarray) -> None:
    import SimpleITK

    path.parent.mkdir(parents=True, exist_ok=True)
    image = SimpleITK.GetImageFromArray(array)
    image.SetSpacing((0.8, 0.8, 3))
    SimpleITK.WriteImage(image, str(path))
