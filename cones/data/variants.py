"""Registry entries that are another one said otherwise: `variant_of: <id>`, and what differs."""

from collections.abc import Mapping
from typing import Any

from cones.runtime.errors import ConesError, closest


def laid_over_original(value: dict, known: Mapping[str, Any], where: str) -> dict:
    """The entry `value`, as written, with what it does not say taken from its original, one of the `known` entries.

    Its keys replace those of the original. Of the sources it has those that it names, or all of them if it names none;
    a source's keys replace those of the original's source. Its files are those of its original.
    """
    if (name := value.get("variant_of")) is None:
        return value
    original = known.get(name)
    if not isinstance(original, dict) or "variant_of" in original:
        raise ConesError(
            f'"{name}" is no entry that another can be a variant of',
            where=f"{where}: variant_of",
            next_step=closest(str(name), [key for key, entry in known.items() if "variant_of" not in (entry or {})]),
        )
    merged = {**original, **value}
    if isinstance(own := value.get("sources"), dict) and isinstance(given := original.get("sources"), dict):
        for key, source in own.items():
            if isinstance(source, dict) and ("archives" in source or "folder" in source):
                raise ConesError(
                    f'a variant has the files of its original, "{name}"',
                    where=f"{where}: sources.{key}",
                    next_step="write a whole entry for other files",
                )
        merged["sources"] = {
            key: {**given.get(key, {}), **source} if isinstance(source, dict) else source for key, source in own.items()
        }
    return merged
