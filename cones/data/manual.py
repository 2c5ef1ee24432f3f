"""Datasets that a user has to download by hand: the declared skip and its instructions."""

from collections.abc import Sequence
from pathlib import Path

from cones.data.providers.base import Missing
from cones.data.registry import Archive, Dataset

STATUS = {
    "login": "needs_login",
    "kaggle": "needs_kaggle_token",
    "request": "needs_request",
    "gone": "needs_a_copy",
}
WHY = {
    "login": "the provider hands the files out only to registered users",
    "kaggle": "Kaggle hands the files out only with a personal token",
    "request": "the provider mails a link after a signed agreement",
    "gone": "the provider's address is dead; `datasets show` says where others found a copy",
}


def is_manual(dataset: Dataset) -> bool:
    return dataset.access in STATUS


def only_by_hand(dataset: Dataset, missing: Sequence[Archive]) -> bool:
    """Whether a person has to get (one of) these files: access needs a form, or a login and has no address."""
    return dataset.access == "request" or (is_manual(dataset) and not all(archive.urls for archive in missing))


def declared_skip(
    *, dataset: Dataset, source: str, drop_dir: Path, missing: Sequence[str], credentials: Missing | None = None
) -> dict:
    """The content of fetch.json for a dataset whose files are not in its drop folder.

    `credentials`: those with which the files would be fetched automatically.
    """
    status = credentials.status if credentials else STATUS[dataset.access]
    why = next(WHY[access] for access, name in STATUS.items() if name == status)
    return {
        "version": 2,
        "dataset": dataset.id,
        "source": source,
        "status": status,
        "reason": f"{why}; missing: {', '.join(missing)}",
        "archives": [],
        "tree": None,
        "manual": {
            "what_to_get": list(missing),
            "where": dataset.home,
            "why_not_automatic": why,
            "or_automatic": credentials.how if credentials else None,
            "put_it_here": drop_dir.as_posix(),
            "how_to_continue": "run the same command again",
            "licence": dataset.licence,
        },
    }


def message(skip: dict) -> str:
    """The block that is printed for a declared skip."""
    manual = skip["manual"]
    automatic = [f"  Or    : {manual['or_automatic']}: then it is fetched for you"] if manual["or_automatic"] else []
    return "\n".join(
        [
            f"[{skip['dataset']}] MANUAL DOWNLOAD NEEDED ({skip['status']})",
            f"  Why   : {manual['why_not_automatic']}",
            f"  Get   : {', '.join(manual['what_to_get'])} (or the unpacked files)",
            f"  From  : {manual['where']}",
            f"  Place : {manual['put_it_here']}/",
            *automatic,
            f"  Then  : {manual['how_to_continue']}",
            f"  Terms : {manual['licence']}",
        ]
    )
