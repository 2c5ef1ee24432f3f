"""Downloads from Cityscapes: a login with a free account, and packages known by their number."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cones.data.providers.base import Missing, Page, Refused, Request, WebProvider, new_session

if TYPE_CHECKING:
    import requests

HOW = "register at https://www.cityscapes-dataset.com/register/, then set CITYSCAPES_USERNAME and CITYSCAPES_PASSWORD"
REJECTED = "the Cityscapes login was refused; check CITYSCAPES_USERNAME and CITYSCAPES_PASSWORD"


def credentials() -> tuple[str, str] | None:
    name, password = os.environ.get("CITYSCAPES_USERNAME"), os.environ.get("CITYSCAPES_PASSWORD")
    return (name, password) if name and password else None


class Cityscapes(WebProvider):
    """cityscapes:<package id>; 1 = gtFine_trainvaltest.zip, 3 = leftImg8bit_trainvaltest.zip."""

    base = "https://www.cityscapes-dataset.com"

    def __init__(self, *, base: str | None = None):
        super().__init__(base=base)
        self._session: requests.Session | None = None

    def missing(self) -> Missing | None:
        return None if credentials() else Missing("needs_login", HOW)

    def request(self, url: str, *, timeout: float, is_pinned: bool) -> Request:
        self._session = self._session or self._login(timeout)
        return Request(f"{self.base}/file-handling/?packageID={self.parts(url)['package']}", self._session)

    def understand(self, page: Page, request: Request, url: str) -> Request | None:
        if page.status == 404:
            raise Refused(f"Cityscapes has no package {self.parts(url)['package']} (HTTP 404)")
        if page.status in (200, 401, 403):
            self._session = None
            raise Refused(
                f'Cityscapes answered with a web page ("{page.title}") instead of the package: log in once in the '
                "browser and see whether its terms must be accepted again"
            )
        return None

    def _login(self, timeout: float) -> requests.Session:
        """A session with the login's cookie. If it succeeded the answer is a redirect, else the form."""
        session = new_session()
        name, password = credentials() or ("", "")
        session.get(f"{self.base}/login/", timeout=timeout).raise_for_status()  # sets the cookie the form expects
        form = {"username": name, "password": password, "submit": "Login"}
        response = session.post(f"{self.base}/login/", data=form, timeout=timeout, allow_redirects=False)
        if response.status_code in (200, 401, 403):
            raise Refused(REJECTED)
        response.raise_for_status()
        if response.status_code not in (302, 303):
            raise Refused(f"the Cityscapes login answered in a way that is not known (HTTP {response.status_code})")
        if "login" in response.headers.get("Location", "").rsplit("?", 1)[0].rstrip("/").rsplit("/", 1)[-1]:
            raise Refused(REJECTED)  # sent back to the form
        return session
