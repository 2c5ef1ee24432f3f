"""Native formats: one file each, chosen by name. A converter reads what was unpacked and yields records.

A converter is a module with
    VERSION     int, raised when its output changes
    Parameters  a Strict model: the keys a registry entry may give beside `format.name`
    convert(native: NativeFiles, parameters) -> Iterator[Record]
and, where a dataset is for generation,
    describe(native: NativeFiles, parameters) -> dict, which becomes `generation` in the manifest.
It knows nothing of the gate or of our splits, and imports anything heavy inside its functions: the registry checks
parameters while Snakemake parses its rules.
"""

from types import ModuleType

from cones.data.converters import cityscapes, coco, dreambooth, voc
from cones.errors import ConesError, closest

CONVERTERS: dict[str, ModuleType] = {
    "coco": coco,
    "voc": voc,
    "cityscapes": cityscapes,
    "dreambooth": dreambooth,
}


def converter_named(name: str, *, where: object) -> ModuleType:
    if name not in CONVERTERS:
        raise ConesError(f'unknown native format "{name}"', where=where, next_step=closest(name, CONVERTERS))
    return CONVERTERS[name]
