"""The forms of download addresses that a registry may list, and the provider each belongs to.

Imports nothing: the registry checks addresses while Snakemake parses its rules.
"""

import re
from typing import NamedTuple

_DRIVE_ID = r"(?P<id>[A-Za-z0-9_-]{8,})"
_KAGGLE = r"(?P<owner>[\w-]+)/(?P<slug>[\w.-]+)"

# kind -> its forms, the short one first; the first form that matches decides, so "web" comes last
FORMS: dict[str, tuple[str, ...]] = {
    "gdrive_folder": (rf"gdrive-folder:{_DRIVE_ID}/(?P<file>[^/]+)",),
    "gdrive": (
        rf"gdrive:{_DRIVE_ID}",
        rf"https://drive\.google\.com/file/d/{_DRIVE_ID}(?:[/?].*)?",
        rf"https://drive\.google\.com/(?:open|uc)\?(?:.*&)?id={_DRIVE_ID}(?:&.*)?",
        rf"https://drive\.usercontent\.google\.com/download\?(?:.*&)?id={_DRIVE_ID}(?:&.*)?",
    ),
    "kaggle": (
        rf"kaggle:{_KAGGLE}",
        rf"https://www\.kaggle\.com/datasets/{_KAGGLE}/?",
        rf"https://www\.kaggle\.com/api/v1/datasets/download/{_KAGGLE}/?",
    ),
    "cityscapes": (
        r"cityscapes:(?P<package>\d+)",
        r"https://www\.cityscapes-dataset\.com/file-handling/?\?packageID=(?P<package>\d+)",
    ),
    "zenodo": (
        r"zenodo:(?P<record>\d+)/(?P<file>[^?]+)",
        r"https://zenodo\.org/records?/(?P<record>\d+)/files/(?P<file>[^?]+)(?:\?.*)?",
    ),
    "huggingface": (
        r"https://huggingface\.co/(?P<repository>(?:datasets/)?[^/]+/[^/]+)/(?:resolve|blob|tree)/(?P<revision>[^/]+)"
        r"/(?P<path>[^?]+)(?:\?.*)?",
    ),
    "file": (r"file://(?P<path>/.+)",),
    "web": (r"https?://[^/@\s]+(?:/\S*)?",),  # no user:password@ in a registry
}
KNOWN = (
    "https://…, file:///…, gdrive:<file id>, gdrive-folder:<folder id>/<file name>, kaggle:<owner>/<data set>, "
    "zenodo:<record>/<file name>, cityscapes:<package id>"
)


class Address(NamedTuple):
    """A parsed address: `kind` is a key of FORMS, `parts` are the named groups of the form that matched."""

    kind: str
    parts: dict[str, str]


def parse_address(url: str) -> Address:
    """The provider's kind and the parts of an address; ValueError if no form matches."""
    for kind, forms in FORMS.items():
        for form in forms:
            if match := re.fullmatch(form, url):
                return Address(kind, match.groupdict())
    raise ValueError(f"not an address that can be fetched (forms: {KNOWN})")


def checked(url: str) -> str:
    """`url` itself, if it has one of the forms; for the registry's schema."""
    parse_address(url)
    return url
