"""Downloads from Hugging Face and Zenodo, which publish checksums: in headers, and by an API."""

from __future__ import annotations

import re
import urllib.parse
from typing import TYPE_CHECKING

from cones.data.providers.base import Page, Refused, Request, WebProvider, new_session

if TYPE_CHECKING:
    import requests


class HuggingFace(WebProvider):
    """…/resolve/<revision>/<path>. Links to a file's web page (/blob/, /tree/) stand for the file."""

    base = "https://huggingface.co"

    def request(self, url: str, *, timeout: float, is_pinned: bool) -> Request:
        parts = self.parts(url)
        return Request(f"{self.base}/{parts['repository']}/resolve/{parts['revision']}/{parts['path']}", new_session())

    def published(self, response: requests.Response) -> dict:
        """X-Linked-Size and X-Linked-ETag (the sha256 of a large file) stand on the redirect to the storage."""
        published = {}
        for answer in [*response.history, response]:
            if (size := answer.headers.get("X-Linked-Size", "")).isdigit():
                published["size"] = int(size)
            if re.fullmatch(r"[0-9a-f]{64}", etag := answer.headers.get("X-Linked-ETag", "").strip('"')):
                published["sha256"] = etag
        return published

    def understand(self, page: Page, request: Request, url: str) -> Request | None:
        if page.status in (401, 403):
            raise Refused(f"Hugging Face does not show this repository without a login, or it is gone ({page.status})")
        return None


class Zenodo(WebProvider):
    """A file of a record; its md5 and size come from the record unless the registry pins them."""

    base = "https://zenodo.org"

    def request(self, url: str, *, timeout: float, is_pinned: bool) -> Request:
        parts, session = self.parts(url), new_session()
        name = urllib.parse.unquote(parts["file"])
        published = {} if is_pinned else self._published(session, parts["record"], name, timeout)
        address = f"{self.base}/records/{parts['record']}/files/{urllib.parse.quote(name)}?download=1"
        return Request(address, session, published=published)

    def _published(self, session: requests.Session, record: str, name: str, timeout: float) -> dict:
        response = session.get(f"{self.base}/api/records/{record}", timeout=timeout)
        response.raise_for_status()
        try:
            files = {each["key"]: each for each in response.json()["files"]}
        except (ValueError, KeyError, TypeError):
            raise Refused(f"Zenodo's answer about record {record} cannot be read") from None
        if name not in files:
            raise Refused(f"Zenodo's record {record} has no file {name} (it has {', '.join(sorted(files)[:8])})")
        kind, _, digest = str(files[name].get("checksum", "")).partition(":")
        published = {kind: digest} if kind in ("md5", "sha256") else {}
        size = files[name].get("size")
        return {**published, "size": size} if isinstance(size, int) else published
