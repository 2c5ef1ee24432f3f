"""Download of one file: every listed address in turn, with retries after faults that may pass."""

import errno
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from cones.data.checksums import WrongFile
from cones.data.partial import Partial
from cones.data.providers import Providers
from cones.data.providers.base import Broken, Refused
from cones.runtime.errors import ConesError

ATTEMPTS = 3  # per address, in a row without getting any further
BACKOFF_SECONDS = 2.0  # before the second attempt; doubles
TIMEOUT_SECONDS = 30.0
DISK_IS_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
log = logging.getLogger(__name__)


class Unavailable(Exception):
    """No address gave the file; `faults` is one line per address. `offline`: none of them answered at all."""

    def __init__(self, faults: Sequence[str], *, offline: bool):
        super().__init__("; ".join(faults))
        self.faults, self.offline = list(faults), offline


def transfer(
    urls: Sequence[str],
    target: Path,
    *,
    check: Callable[[Path, dict], None],
    providers: Providers,
    is_pinned: bool = False,
    attempts: int = ATTEMPTS,
    backoff: float = BACKOFF_SECONDS,
    timeout: float = TIMEOUT_SECONDS,
) -> str:
    """Download the first of `urls` that works to `target`, which appears only after `check(path, published)` passed.

    Tries an address again after connection faults, cut-off bodies and HTTP 429 or 5xx, waiting `backoff`, 2 backoff …
    seconds, going on where the transfer broke if the server allows it; an attempt that got further is not counted.
    Other answers (404, 403, a wrong file) lead to the next address at once. `published` is what the provider says of
    the file (size, md5, sha256). Returns the address that worked; raises Unavailable if none did.
    """
    faults, answered, partial = [], False, Partial(target)
    with partial.locked():
        for url in urls:
            if missing := providers.of(url).missing():
                faults.append(f"{url}: needs something of yours: {missing.how}")
                continue
            fault, reached = _from_address(
                url, partial, check, providers, attempts=attempts, backoff=backoff, timeout=timeout, is_pinned=is_pinned
            )
            if fault is None:
                return url
            faults.append(f"{url}: {fault}")
            answered |= reached
    raise Unavailable(faults, offline=not answered)


def _from_address(
    url: str,
    partial: Partial,
    check: Callable[[Path, dict], None],
    providers: Providers,
    *,
    attempts: int,
    backoff: float,
    timeout: float,
    is_pinned: bool,
) -> tuple[str | None, bool]:
    """(None, True) once the file is in its place, else (what is wrong with this address, did its server answer)."""
    failed, answered = 0, False
    while True:
        before, resumed = partial.size, partial.known(url) is not None
        try:
            published = providers.of(url).get(url, partial, timeout=timeout, is_pinned=is_pinned)
            try:
                check(partial.path, published)
            except BaseException:
                partial.discard()  # whole, and not what is wanted: nothing of it is worth keeping
                raise
            partial.publish()
            return None, True
        except Exception as error:
            partial.discard_unless_resumable()
            fault = _describe(error)
            if fault is None:
                raise
            text, passing, reached = fault
            passing |= resumed and isinstance(error, WrongFile)  # perhaps wrongly pieced together: once more, whole
        answered |= reached
        failed = 1 if resumed and partial.size > before else failed + 1
        if not passing or failed >= attempts:
            return text + (f" ({failed} attempts)" if failed > 1 else ""), answered
        wait = backoff * 2 ** (failed - 1)
        kept = f" after {partial.size} bytes" if partial.size else ""
        log.warning("%s: %s%s; trying again in %g s", url, text, kept, wait)
        time.sleep(wait)


def _describe(error: Exception) -> tuple[str, bool, bool] | None:
    """(what happened, may it pass by itself, did a server answer), or None for errors that are not the network's."""
    import requests

    if isinstance(error, OSError) and error.errno in DISK_IS_FULL and not isinstance(error, requests.RequestException):
        raise ConesError(
            "the disk is full", where=error.filename, found=error.strerror, next_step="free some space, then run again"
        ) from None
    if isinstance(error, WrongFile | Refused):
        return str(error), False, True
    if isinstance(error, Broken):
        return str(error), True, True
    if isinstance(error, requests.HTTPError):
        status = error.response.status_code
        return f"HTTP {status} {error.response.reason}", status == 429 or status >= 500, True
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke before the file was complete", True, True
    if isinstance(error, requests.exceptions.Timeout):
        return "no answer in time", True, False
    if isinstance(error, requests.exceptions.TooManyRedirects):
        return "redirects without an end", False, True
    if isinstance(error, requests.ConnectionError) and "Read timed out" in str(error):
        return "the server stopped sending", True, True
    if isinstance(error, requests.ConnectionError):
        return "no connection", True, False
    if isinstance(error, requests.RequestException):
        return "not a usable address", False, False
    if isinstance(error, FileNotFoundError | IsADirectoryError | PermissionError) and error.filename:
        return f"cannot read {error.filename}", False, True
    return None
