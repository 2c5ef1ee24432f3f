"""How a model family writes and reads the caption of all class names. Imports nothing heavy."""

from dataclasses import dataclass


@dataclass(frozen=True)
class CaptionStyle:
    """The default is that of GLIP and UNINEXT: "fish. shark", read as one text.

    ends_with_stop  "fish. shark." instead
    delimiters      word pieces that close a phrase; phrases are read apart (see `language.phrases_of`). Empty: one text
    """

    ends_with_stop: bool = False
    delimiters: tuple[str, ...] = ()
