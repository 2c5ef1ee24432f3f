"""The checkpoint of an interrupted run: written whole, read, and taken up only by the run that it belongs to."""

from pathlib import Path

import torch

from cones.artifacts import replacing
from cones.progress import log


def write_checkpoint(path: Path, content: dict) -> None:
    """The earlier checkpoint stays until the new one is whole."""
    # through a file of Python's: PyTorch's own says nothing of a full disk
    with replacing(path) as temporary, open(temporary, "wb") as file:
        torch.save(content, file)


def read_checkpoint(path: Path, identity: object) -> dict | None:
    """The content of a checkpoint whose "identity" is this one; None, with a word in the log, if it is of no use."""
    if not path.exists():
        return None
    try:
        content = torch.load(path, weights_only=True, map_location="cpu")
        fits = content["identity"] == identity
    except Exception as error:
        log.info("the checkpoint of an earlier run cannot be read (%s): starting afresh", error)
        return None
    if not fits:
        log.info("the checkpoint of an earlier run belongs to other settings: starting afresh")
    return content if fits else None
