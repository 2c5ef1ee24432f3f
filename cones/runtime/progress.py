"""Progress reports: a tqdm bar on a terminal, a plain line at intervals in a log."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")
log = logging.getLogger("cones")


def start_logging() -> None:
    """Log plain lines with the time of day to standard error."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")


def watched(items: Iterable[T], *, label: str, total: int | None = None, every_seconds: float = 15.0) -> Iterator[T]:
    """Iterate with a bar where standard error is a terminal, else with a log line at most every `every_seconds`."""
    total = len(items) if total is None and hasattr(items, "__len__") else total
    if sys.stderr.isatty():
        yield from tqdm(items, desc=label, total=total, leave=False, dynamic_ncols=True)
        return
    logged_at = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        if time.monotonic() - logged_at > every_seconds:
            logged_at = time.monotonic()
            log.info("%s: %d of %s", label, done, total if total is not None else "?")


def watched_bytes(
    chunks: Iterable[bytes], *, label: str, total: int | None, done: int = 0, every_seconds: float = 15.0
) -> Iterator[bytes]:
    """`watched` for a transfer: counts bytes, of which `done` were there before."""
    if sys.stderr.isatty():
        with tqdm(
            desc=label, total=total, initial=done, unit="B", unit_scale=True, leave=False, dynamic_ncols=True
        ) as bar:
            for chunk in chunks:
                yield chunk
                bar.update(len(chunk))
        return
    logged_at = time.monotonic()
    for chunk in chunks:
        yield chunk
        done += len(chunk)
        if time.monotonic() - logged_at > every_seconds:
            logged_at = time.monotonic()
            log.info("%s: %s of %s", label, human_bytes(done), human_bytes(total) if total else "?")


def human_bytes(count: float) -> str:
    """`1.4 GB`: decimal units, as providers state sizes."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 10 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
