"""Typed YAML: an unknown key, a wrong type or a missing value is a one-line error with file, key path and next step."""

import re
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cones.runtime.errors import ConesError, closest, kind_of

IDENTIFIER = r"^[A-Za-z0-9][A-Za-z0-9_+-]*$"  # ids become folder names and words of a command line
LONGEST_VALUE = 60  # characters of what was found, in a message
Name = Annotated[str, Field(pattern=IDENTIFIER)]


class Strict(BaseModel):
    """A pydantic model that refuses keys it does not know and cannot be changed once read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def by_name(value: Any) -> Any:
    """A list of names and of `name: {…}` as {name: overrides}; a name alone, or `name: null`, has no overrides."""
    if isinstance(value, list):
        parts = [entry if isinstance(entry, dict) else {entry: None} for entry in value]
        value = {name: entry for part in parts for name, entry in part.items()}
    return {name: entry or {} for name, entry in value.items()} if isinstance(value, dict) else value


M = TypeVar("M", bound=BaseModel)


class _UniqueKeys(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """A YAML loader that refuses a repeated key, of which PyYAML would silently keep the last.

    The parser in C, where PyYAML was built with it, reads the registry in a twentieth of the time.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        first: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                continue
            if key.value in first:
                raise _Repeated(key.value, first[key.value], line)
            first[key.value] = line
        return super().construct_mapping(node, deep)


class _Repeated(Exception):
    def __init__(self, key: str, first: int, second: int):
        self.key, self.lines = key, f"lines {first} and {second}"


def read_yaml(path: str | Path) -> Any:
    """The content of a YAML file; ConesError if it is missing, not YAML, or holds one key twice in one place."""
    try:
        return yaml.load(Path(path).read_text(encoding="utf-8"), Loader=_UniqueKeys)
    except _Repeated as error:
        raise ConesError(
            f'the key "{error.key}" is there twice', where=path, found=error.lines, next_step="keep one of them"
        ) from None
    except FileNotFoundError:
        raise ConesError("file is missing", where=path, next_step="check the path, or restore the file") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConesError(
            "not valid YAML", where=path, found=error, next_step="correct it at the line that is named"
        ) from None


class Written(NamedTuple):
    """Where a value was written: a YAML file, and the keys that lead to it there."""

    path: str | Path
    keys: tuple[str | int, ...] = ()

    def at(self, keys: tuple) -> str | None:
        """The unquoted text at these keys, as a person wrote it; None if it is quoted, no plain value or not found."""
        try:
            node = yaml.compose(Path(self.path).read_text(encoding="utf-8"), Loader=_UniqueKeys)
        except (OSError, ValueError, yaml.YAMLError):
            return None
        for key in (*self.keys, *keys):
            if isinstance(node, yaml.MappingNode):
                node = next((value for name, value in node.value if name.value == str(key)), None)
            elif isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
                node = node.value[key]
        return node.value if isinstance(node, yaml.ScalarNode) and not node.style else None


def parse(model: type[M], value: Any, *, where: object, cure: str | None = None, written: Written | None = None) -> M:
    """`value` as a `model`, or a ConesError about its first fault: `where: key.path: what; expected …; found …`.

    `cure` is the next step where no person wrote the value, and correcting it by hand would be wrong. `written` is
    where a person wrote it: YAML reads `no`, `12:30` and `010` as no text, and the message then shows what was written.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        # a mistyped key shows up twice, as unknown and as missing: the first is the one to mend
        fault = min(error.errors(), key=lambda fault: fault["type"] != "extra_forbidden")
    path = ".".join(str(part) for part in fault["loc"] if part != "[key]")
    place = f"{where}: {path}" if path else where
    if fault["type"] == "extra_forbidden":
        known = _keys_at(model, fault["loc"][:-1])
        hint = closest(fault["loc"][-1], known) if known else "a key of the schema"
        raise ConesError("unknown key", where=place, next_step=cure or f"{hint} (correct or remove it)")
    if fault["type"] == "missing":
        raise ConesError("a required key is missing", where=place, next_step=cure or "add it")
    if fault["type"] == "string_type" and written and (text := written.at(fault["loc"])) is not None:
        raise ConesError(
            f"YAML reads {text or 'nothing'} as {_read_as(fault['input'])}, not as text",
            where=place,
            found=text or "an empty place",
            next_step=f"put it in quotes: '{text}'",
        )
    raise ConesError(
        _in_words(fault["msg"]),
        where=place,
        found=None if fault["type"] == "value_error" and isinstance(fault["input"], dict) else _shown(fault["input"]),
        next_step=cure or "correct it",
    )


def _read_as(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"the number {value}" if isinstance(value, int | float) else kind_of(value)


def _in_words(message: str) -> str:
    """A message of pydantic without the names of Python's types and without regular expressions."""
    for theirs, ours in (
        ("Value error, ", ""),
        (f"String should match pattern '{IDENTIFIER}'", "a name is letters, digits, _, + and -"),
        ("a valid tuple", "a list"),
        ("a valid dictionary", "a mapping of keys"),
        ("a valid string", "text"),
    ):
        message = message.replace(theirs, ours)
    return re.sub(r" or instance of \w+", "", message)


def _shown(value: Any) -> str:
    """A short value as it was written; of a long one or a whole section its type."""
    shown = f'"{value}"' if isinstance(value, str) else str(value)
    return shown if len(shown) <= LONGEST_VALUE and not isinstance(value, dict) else kind_of(value)


def _keys_at(model: type[BaseModel], path: tuple) -> list[str]:
    """The field names of the (nested) model that a key path leads to."""
    if not path:
        return list(model.model_fields)
    field = model.model_fields.get(str(path[0]))
    for nested, remaining in _nested_models(field.annotation if field else None, path[1:]):
        return _keys_at(nested, remaining)
    return []


def _nested_models(annotation: Any, path: tuple):
    """Models inside an annotation such as `dict[str, Model]`, `list[Model]` or `Model | None`, and the path left."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, path
    elif getattr(annotation, "__origin__", None) in (dict, list, tuple):
        yield from _nested_models(get_args(annotation)[-1], path[1:])
    else:
        for member in get_args(annotation):
            yield from _nested_models(member, path)
