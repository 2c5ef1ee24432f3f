"""Downloads from Google Drive: its confirmation form for large files, and pages that come instead of files."""

from __future__ import annotations

import html
import re
import urllib.parse

from cones.data.providers.base import Page, Refused, Request, WebProvider, new_session

QUOTA = ("quota exceeded", "too many users have viewed or downloaded", "can't view or download this file at this time")
SIGN_IN = ("accounts.google.com", "you need access", "request access", "sign in")


class GoogleDrive(WebProvider):
    """gdrive:<file id>, or the address that Drive's "share" gives."""

    base = "https://drive.usercontent.google.com"

    def request(self, url: str, *, timeout: float, is_pinned: bool) -> Request:
        return self._request(self.parts(url)["id"])

    def _request(self, identifier: str) -> Request:
        return Request(f"{self.base}/download?id={identifier}&export=download&confirm=t", new_session())

    def understand(self, page: Page, request: Request, url: str) -> Request | None:
        text = html.unescape(page.text).replace("\u2019", "'").lower()
        if any(words in text for words in QUOTA):
            raise Refused(
                "Google Drive's download quota of this file is used up; try again tomorrow, or make a copy of the file "
                "in a Drive of your own and download that by hand"
            )
        if page.status == 200 and (following := _confirmed(page)):
            return Request(following, request.session)  # the session holds the cookie that goes with the form
        if page.status == 404:
            raise Refused("Google Drive has no such file any more (HTTP 404)")
        if page.status in (401, 403) or any(words in text for words in SIGN_IN):
            raise Refused("the owner does not share this file of Google Drive with everyone")
        return None


class GoogleDriveFolder(GoogleDrive):
    """gdrive-folder:<folder id>/<file name>: one file of a shared folder, found by its name in the folder's listing."""

    listing = "https://drive.google.com"

    def __init__(self, *, base: str | None = None):
        super().__init__(base=base)
        self.listing = (base or self.listing).rstrip("/")

    def request(self, url: str, *, timeout: float, is_pinned: bool) -> Request:
        parts = self.parts(url)
        response = new_session().get(f"{self.listing}/embeddedfolderview?id={parts['id']}", timeout=timeout)
        response.raise_for_status()
        entries = re.findall(
            r'href="[^"]*/file/d/([\w-]+)/[^"]*".*?class="flip-entry-title"[^>]*>([^<]*)<', response.text, re.DOTALL
        )
        names = {html.unescape(name): identifier for identifier, name in entries}
        wanted = urllib.parse.unquote(parts["file"])
        if wanted not in names:
            shown = ", ".join(sorted(names)[:8]) or "no files"
            raise Refused(f"the Google Drive folder has no file {wanted} (it shows {shown})")
        return self._request(names[wanted])


def _confirmed(page: Page) -> str | None:
    """The address behind the "download anyway" form of a page, if it has one."""
    form = re.search(r'<form[^>]*id="download-form"[^>]*>(.*?)</form>', page.text, re.DOTALL | re.IGNORECASE)
    action = form and re.search(r'action="([^"]+)"', form[0])
    if not action:
        return None
    fields = {}
    for field in re.findall(r"<input[^>]*>", form[1], re.IGNORECASE):
        attributes = dict(re.findall(r'(name|value)="([^"]*)"', field))
        if "name" in attributes:
            fields[html.unescape(attributes["name"])] = html.unescape(attributes.get("value", ""))
    address = urllib.parse.urljoin(page.url, html.unescape(action[1]))
    return f"{address}{'&' if '?' in address else '?'}{urllib.parse.urlencode(fields)}"
