"""Providers: one class for each kind of address that files are downloaded from.

A new kind is one class, one line here and one in `cones/data/addresses.py`. A provider has
    base                       the server's address; tests put a local imitation in its place
    missing() -> Missing|None  credentials the user has not given yet: the dataset is skipped, which is no failure
    get(url, partial, …)       write the file to `partial`; returns what the provider says about it (size, md5, sha256)
It raises `requests` errors, Refused or WrongFile, and never puts a credential into a message.
"""

from cones.data.addresses import parse_address
from cones.data.providers.base import LocalFile, Missing, Provider, WebProvider
from cones.data.providers.cityscapes import Cityscapes
from cones.data.providers.gdrive import GoogleDrive, GoogleDriveFolder
from cones.data.providers.hosts import HuggingFace, Zenodo
from cones.data.providers.kaggle import Kaggle

__all__ = ["PROVIDERS", "Missing", "Provider", "Providers"]

PROVIDERS: dict[str, type[Provider]] = {
    "gdrive_folder": GoogleDriveFolder,
    "gdrive": GoogleDrive,
    "kaggle": Kaggle,
    "cityscapes": Cityscapes,
    "zenodo": Zenodo,
    "huggingface": HuggingFace,
    "file": LocalFile,
    "web": WebProvider,
}


class Providers:
    """One provider of each kind, kept for a whole fetch (a login is done once). `bases` replaces servers' addresses."""

    def __init__(self, **bases: str):
        self.by_kind = {kind: provider(base=bases.get(kind)) for kind, provider in PROVIDERS.items()}

    def of(self, url: str) -> Provider:
        return self.by_kind[parse_address(url).kind]

    def missing(self, urls: list[str]) -> Missing | None:
        """What the user must give before any of `urls` can be downloaded; None if one can be (or there are none)."""
        wanted = [self.of(url).missing() for url in urls]
        return wanted[0] if wanted and all(wanted) else None
