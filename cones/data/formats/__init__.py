"""Dataset formats: one converter module each, chosen by the name that a registry entry gives.

A converter reads unpacked files and yields one record per picture. It is a module with
    FORMAT      {"name": its name in registry entries}
    VERSION     int, raised when its output changes
    Parameters  a Strict model: the keys a registry entry may give beside `format.name`
    convert(native: NativeFiles, parameters) -> Iterator[Record]
    RENDERS     True if the native files are no pictures (volumes): convert then writes them into `native.pictures`
and, where a dataset is for generation,
    describe(native: NativeFiles, parameters) -> dict, which becomes `generation` in the manifest,
or for classification
    class_names(native: NativeFiles, parameters) -> dict[str, str | None]: the classes in the order of their labels,
                with what a text calls each, or None if the files do not say; records then have a `label`.
or for dense prediction
    numbers(native: NativeFiles, parameters) -> Numbers: how its maps number the entry's classes; records then have a
                `class_map`.
It knows nothing of the gate or of our splits, and imports anything heavy inside its functions: the registry checks
parameters while Snakemake parses its rules.
"""

from types import ModuleType

from cones.runtime.errors import ConesError
from cones.runtime.registry import Entry, Registry

FORMATS: Registry[Entry] = Registry(
    "native format", Entry, literal="FORMAT", built_in="cones.built_in:FORMATS", group="cones.formats"
)


def converter_named(name: str, *, where: object) -> ModuleType:
    """Import the converter of a format; ConesError if there is none of this name, or it lacks a part."""
    converter = FORMATS.load(name, where=where)
    for part in ("VERSION", "Parameters", "convert"):
        if not hasattr(converter, part):
            raise ConesError(
                f"a converter needs {part}",
                where=converter.__file__,
                next_step="add it; docs/extending.md shows a whole file",
            )
    return converter
