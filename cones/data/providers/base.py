"""What providers share: HTTP downloads that resume, and telling a web page from the wanted file."""

from __future__ import annotations

import errno
import html
import itertools
import re
import shutil
import urllib.parse
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cones.data.addresses import parse_address
from cones.data.checksums import WrongFile, looks_like_html
from cones.data.partial import Partial
from cones.runtime.progress import watched_bytes

if TYPE_CHECKING:
    import requests

CHUNK = 1 << 16  # what is lost at most when a connection breaks
PAGE_BYTES = 1 << 18  # of a web page that came instead of the file
RANGE_ANSWERS = (206, 416)  # to a request for the rest of a file
PAGES = 3  # answers in a row that may be a step on the way rather than the file
AGENT = "cones-benchmark (dataset download; python-requests)"


class Refused(Exception):
    """The server refuses for a known reason. The message says what a person can do; trying again will not help."""


class Broken(Exception):
    """The transfer broke off; it can be continued from what has arrived."""


@dataclass(frozen=True)
class Missing:
    """Credentials that the user has not given: the status of the declared skip, and how to give them."""

    status: str
    how: str


@dataclass
class Request:
    """What to ask for, after logins and look-ups. `published`: size, md5, sha256 that the provider states."""

    url: str
    session: requests.Session
    auth: Any = field(default=None, repr=False)
    published: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Page:
    """An answer that is not the file: an error status, or a web page."""

    status: int
    text: str
    url: str

    @property
    def title(self) -> str:
        match = re.search(r"<title[^>]*>(.*?)</title>", self.text, re.IGNORECASE | re.DOTALL)
        return " ".join(html.unescape(match[1]).split())[:80] if match else "no title"


class Provider(ABC):
    """The interface; see the package's docstring."""

    base = ""

    def __init__(self, *, base: str | None = None):
        self.base = (base or self.base).rstrip("/")

    def missing(self) -> Missing | None:
        return None

    @abstractmethod
    def get(self, url: str, partial: Partial, *, timeout: float, is_pinned: bool) -> dict: ...


class LocalFile(Provider):
    """Copies files of addresses file:///…"""

    def get(self, url: str, partial: Partial, *, timeout: float, is_pinned: bool) -> dict:
        partial.discard()
        shutil.copyfile(urllib.request.url2pathname(urllib.parse.urlsplit(url).path), partial.path)
        return {}


class WebProvider(Provider):
    """Downloads over http and https. Other providers change the request and what an answer that is no file means."""

    def request(self, url: str, *, timeout: float, is_pinned: bool) -> Request:
        """The request for the file; logins and look-ups of checksums happen here."""
        return Request(url, new_session())

    def understand(self, page: Page, request: Request, url: str) -> Request | None:
        """Interpret an error status or a web page: the next request, or Refused if its meaning is known."""
        return None

    def published(self, response: requests.Response) -> dict:
        """What the answer's headers say about the file."""
        return {}

    def parts(self, url: str) -> dict[str, str]:
        return parse_address(url).parts

    def get(self, url: str, partial: Partial, *, timeout: float, is_pinned: bool) -> dict:
        request = self.request(url, timeout=timeout, is_pinned=is_pinned)
        for _ in range(PAGES):
            with ask(request, partial, url, timeout) as response:
                chunks = response.iter_content(CHUNK)
                first = next(chunks, b"") if response.status_code not in RANGE_ANSWERS else b""
                if (response.ok and not looks_like_html(first)) or response.status_code in RANGE_ANSWERS:
                    receive(response, itertools.chain([first], chunks), partial, url)
                    return {**self.published(response), **request.published}
                page = Page(response.status_code, _text(first, chunks), response.url)
                following = self.understand(page, request, url)
                if following is None:
                    response.raise_for_status()
                    raise WrongFile("a web page came instead of the file", expected="data", found=f'"{page.title}"')
                request = following
        raise Refused("one web page led to the next and none to the file")


def new_session() -> requests.Session:
    import requests

    session = requests.Session()
    session.headers["User-Agent"] = AGENT
    return session


def ask(request: Request, partial: Partial, url: str, timeout: float) -> requests.Response:
    """GET, from where `partial` ends if the server can still confirm that it is the same file."""
    headers = {"Accept-Encoding": "identity"}  # sizes and ranges are those of the file
    if known := partial.known(url):
        headers |= {"Range": f"bytes={partial.size}-", "If-Range": known["validator"]}
    return request.session.get(request.url, headers=headers, auth=request.auth, stream=True, timeout=timeout)


def receive(response: requests.Response, chunks: Iterator[bytes], partial: Partial, url: str) -> None:
    """Stream the body to `partial`, or on to its end. Broken if what stands there cannot become the file."""
    if response.status_code == 416 or (response.status_code == 206 and not _continues(response, partial, url)):
        partial.discard()
        raise Broken("the server could not go on where the transfer broke")
    done = partial.size if response.status_code == 206 else 0
    length = response.headers.get("Content-Length", "")
    total = done + int(length) if length.isdigit() and "Content-Encoding" not in response.headers else None
    if not done:
        partial.begin(url=url, validator=_validator(response), total=total)
    _check_disk(partial.path.parent, (total or 0) - done)
    with open(partial.path, "ab" if done else "wb") as sink:
        for chunk in watched_bytes(chunks, label=partial.target.name, total=total, done=done):
            sink.write(chunk)
    if total is not None and partial.size != total:
        raise Broken("the connection broke before the file was complete")


def _text(first: bytes, chunks: Iterator[bytes]) -> str:
    body = first
    for chunk in chunks:
        body += chunk
        if len(body) > PAGE_BYTES:
            break
    return body.decode("utf-8", "replace")


def _validator(response: requests.Response) -> str | None:
    """What If-Range can hold: a strong ETag or a date; None if the server cannot resume."""
    if response.headers.get("Accept-Ranges", "").lower() == "none" or "Content-Encoding" in response.headers:
        return None
    etag = response.headers.get("ETag", "")
    return etag if etag.startswith('"') else response.headers.get("Last-Modified")


def _continues(response: requests.Response, partial: Partial, url: str) -> bool:
    """Whether this answer (206) is the rest of the file that `partial` began."""
    known = partial.known(url)
    match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", response.headers.get("Content-Range", ""))
    if not known or not match or int(match[1]) != partial.size:
        return False
    if known["total"] is not None and match[3] not in ("*", str(known["total"])):
        return False
    validator = _validator(response)
    return validator is None or validator == known["validator"] or not known["validator"].startswith('"')


def _check_disk(folder: Path, wanted: int) -> None:
    free = shutil.disk_usage(folder).free
    if wanted > free:
        raise OSError(errno.ENOSPC, f"{wanted} bytes are needed, {free} are free", str(folder))
