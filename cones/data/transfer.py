"""Getting one file over the network: every listed address, with patience for faults that pass and none for others."""

import logging
import shutil
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

from cones.artifacts import replacing
from cones.data.checksums import WrongFile

ATTEMPTS = 3  # per address
BACKOFF_SECONDS = 2.0  # before the second attempt; doubles
TIMEOUT_SECONDS = 30.0
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
    check: Callable[[Path], None],
    attempts: int = ATTEMPTS,
    backoff: float = BACKOFF_SECONDS,
    timeout: float = TIMEOUT_SECONDS,
) -> str:
    """Download the first of `urls` that works to `target`, which appears only after `check(path)` passed.

    Tries an address again after connection faults, cut-off bodies and HTTP 429 or 5xx, waiting `backoff`, 2 backoff …
    seconds; other answers (404, 403, a wrong file) lead to the next address at once. Returns the address that worked;
    raises Unavailable if none did.
    """
    faults, answered = [], False
    for url in urls:
        for attempt in range(1, attempts + 1):
            try:
                with replacing(target) as temporary:
                    _get(url, temporary, timeout)
                    answered = True
                    check(temporary)
                return url
            except Exception as error:
                fault = _describe(error)
                if fault is None:
                    raise
                text, passing, reached = fault
                answered |= reached
            if not passing or attempt == attempts:
                faults.append(f"{url}: {text}" + (f" ({attempt} attempts)" if attempt > 1 else ""))
                break
            wait = backoff * 2 ** (attempt - 1)
            log.warning("%s: %s; trying again in %g s", url, text, wait)
            time.sleep(wait)
    raise Unavailable(faults, offline=not answered)


def _get(url: str, target: Path, timeout: float) -> None:
    if urllib.parse.urlsplit(url).scheme == "file":
        shutil.copyfile(urllib.request.url2pathname(urllib.parse.urlsplit(url).path), target)
        return
    import pooch

    # urllib3 compares the body with Content-Length, so a cut-off body raises
    pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=timeout)(url, str(target), None)


def _describe(error: Exception) -> tuple[str, bool, bool] | None:
    """(what happened, may it pass by itself, did a server answer), or None for errors that are not the network's."""
    import requests

    if isinstance(error, WrongFile):
        return str(error), False, True
    if isinstance(error, requests.HTTPError):
        status = error.response.status_code
        return f"HTTP {status} {error.response.reason}", status == 429 or status >= 500, True
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke before the file was complete", True, True
    if isinstance(error, requests.exceptions.Timeout):
        return "no answer in time", True, False
    if isinstance(error, requests.ConnectionError):
        return "no connection", True, False
    if isinstance(error, requests.RequestException):
        return f"not a usable address ({error})", False, False
    if isinstance(error, FileNotFoundError | IsADirectoryError | PermissionError) and error.filename:
        return f"cannot read {error.filename}", False, True
    return None
