"""Downloads from Kaggle: a personal token, a redirect to storage that must not receive it, known refusals."""

from __future__ import annotations

import json
import os
import urllib.parse
from pathlib import Path

from cones.data.providers.base import Missing, Page, Refused, Request, WebProvider, new_session

HOW = (
    "kaggle.com > Settings > API > create a token, then set KAGGLE_API_TOKEN (or KAGGLE_USERNAME and KAGGLE_KEY), or "
    "save it as ~/.kaggle/kaggle.json"
)


class _Bearer:
    """A token of the newer kind as a `requests` auth; like basic auth it is dropped on a redirect to another host."""

    def __init__(self, token: str):
        self._token = token

    def __call__(self, request):
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def credentials():
    """A `requests` auth from the environment or Kaggle's own files, the environment first; None if there is none."""
    if token := os.environ.get("KAGGLE_API_TOKEN"):
        return _Bearer(token)
    if (name := os.environ.get("KAGGLE_USERNAME")) and (key := os.environ.get("KAGGLE_KEY")):
        return name, key
    folder = Path(os.environ.get("KAGGLE_CONFIG_DIR") or Path.home() / ".kaggle")
    try:
        content = json.loads((folder / "kaggle.json").read_text(encoding="utf-8"))
        return str(content["username"]), str(content["key"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    try:
        token = (folder / "access_token").read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None
    return _Bearer(token) if token else None


class Kaggle(WebProvider):
    """kaggle:<owner>/<data set>: the whole data set as one zip."""

    base = "https://www.kaggle.com"

    def missing(self) -> Missing | None:
        return None if credentials() else Missing("needs_kaggle_token", HOW)

    def request(self, url: str, *, timeout: float, is_pinned: bool) -> Request:
        parts = self.parts(url)
        address = f"{self.base}/api/v1/datasets/download/{parts['owner']}/{parts['slug']}"
        return Request(address, new_session(), auth=credentials())

    def understand(self, page: Page, request: Request, url: str) -> Request | None:
        if urllib.parse.urlsplit(page.url).netloc != urllib.parse.urlsplit(self.base).netloc:
            return None  # the storage's answer, not Kaggle's
        name = "{owner}/{slug}".format(**self.parts(url))
        meanings = {
            401: f"Kaggle does not accept your token (HTTP 401); make a new one: {HOW}",
            403: "Kaggle wants the data set's terms accepted once in the browser (HTTP 403): "
            f"https://www.kaggle.com/datasets/{name}",
            404: f"Kaggle has no data set {name}, or it is private (HTTP 404)",
        }
        if page.status in meanings:
            raise Refused(meanings[page.status])
        if page.status == 200:
            raise Refused(f'Kaggle answered with a web page ("{page.title}") instead of the data set {name}')
        return None
