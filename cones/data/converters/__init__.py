"""Native formats: one file each, chosen by name. A converter reads what was unpacked and yields records.

A converter is a module with
    VERSION     int, raised when its output changes
    Parameters  a Strict model: the keys a registry entry may give beside `format.name`
    convert(native: NativeFiles, parameters) -> Iterator[Record]
    RENDERS     True if the native files are no pictures (volumes): convert then writes them into `native.pictures`
and, where a dataset is for generation,
    describe(native: NativeFiles, parameters) -> dict, which becomes `generation` in the manifest.
It knows nothing of the gate or of our splits, and imports anything heavy inside its functions: the registry checks
parameters while Snakemake parses its rules.
"""

from types import ModuleType

from cones.data.converters import (
    adni,
    cityscapes,
    coco,
    csv_boxes,
    dreambooth,
    instance_maps,
    isic2016,
    kvasir_seg,
    luna16,
    masks,
    tbx11k,
    tn3k,
    voc,
)
from cones.errors import ConesError, closest

CONVERTERS: dict[str, ModuleType] = {
    "coco": coco,
    "voc": voc,
    "masks": masks,
    "isic2016": isic2016,
    "csv_boxes": csv_boxes,
    "instance_maps": instance_maps,
    "tbx11k": tbx11k,
    "luna16": luna16,
    "adni": adni,
    "tn3k": tn3k,
    "kvasir_seg": kvasir_seg,
    "cityscapes": cityscapes,
    "dreambooth": dreambooth,
}


def converter_named(name: str, *, where: object) -> ModuleType:
    if name not in CONVERTERS:
        raise ConesError(f'unknown native format "{name}"', where=where, next_step=closest(name, CONVERTERS))
    return CONVERTERS[name]
