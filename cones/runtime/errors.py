"""The exception for faults that a user can correct: what went wrong, where, and what to do next, in one line."""

import difflib
from collections.abc import Iterable


class ConesError(Exception):
    """A fault explained in one line.

    `where` names the dataset, file or key; `expected` and `found` are short; `next_step` is something a person can do.
    The command line prints it without a traceback and exits with 1.
    """

    def __init__(
        self,
        what: str,
        *,
        where: object = None,
        expected: object = None,
        found: object = None,
        next_step: str | None = None,
    ):
        self.what, self.where, self.expected, self.found, self.next_step = what, where, expected, found, next_step
        parts = [what if where is None else f"{where}: {what}"]
        if expected is not None:
            parts.append(f"expected {expected}")
        if found is not None:
            parts.append(f"found {found}")
        if next_step:
            parts.append(f"next: {next_step}")
        super().__init__("; ".join(" ".join(str(part).split()) for part in parts))


def closest(name: str, known: Iterable[str]) -> str:
    """The known name nearest to a mistyped one, as a hint: `'did you mean "datasets"?'`, else the whole list."""
    known = sorted(map(str, known))
    match = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    if not known:
        return "there is none to choose"
    return f'did you mean "{match[0]}"?' if match else f"choose one of: {', '.join(known)}"


def message_of(error: Exception) -> str:
    """The message of a parsing error in words; a KeyError alone holds nothing but the missing name."""
    return f'nothing named "{error.args[0]}"' if isinstance(error, KeyError) and error.args else str(error)


def kind_of(value: object) -> str:
    """The type of a parsed JSON or YAML value in words, such as "a list"; `null` is "nothing"."""
    kinds = ((type(None), "nothing"), (bool, "true or false"), (str, "text"), (int | float, "a number"))
    kinds += ((dict, "a mapping of keys"), (list, "a list"))
    return next((word for kind, word in kinds if isinstance(value, kind)), type(value).__name__)
