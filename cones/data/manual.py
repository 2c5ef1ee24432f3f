"""Datasets nobody may download for you: the declared skip, and what a person has to do about it."""

from collections.abc import Sequence
from pathlib import Path

from cones.data.registry import Dataset

STATUS = {"login": "needs_login", "kaggle": "needs_kaggle_token", "request": "needs_request"}
WHY = {
    "login": "the provider hands the files out only to registered users",
    "kaggle": "Kaggle hands the files out only with a personal token",
    "request": "the provider mails a link after a signed agreement",
}


def is_manual(dataset: Dataset) -> bool:
    return dataset.access in STATUS


def declared_skip(*, dataset: Dataset, source: str, drop_dir: Path, missing: Sequence[str]) -> dict:
    """The content of fetch.json for a dataset whose files are not in its drop folder."""
    return {
        "version": 1,
        "dataset": dataset.id,
        "source": source,
        "status": STATUS[dataset.access],
        "reason": f"{WHY[dataset.access]}; missing: {', '.join(missing)}",
        "archives": [],
        "tree": None,
        "manual": {
            "what_to_get": list(missing),
            "where": dataset.home,
            "why_not_automatic": WHY[dataset.access],
            "put_it_here": drop_dir.as_posix(),
            "how_to_continue": "run the same command again",
            "licence": dataset.licence,
        },
    }


def message(skip: dict) -> str:
    """The block that is printed for a declared skip."""
    manual = skip["manual"]
    return "\n".join(
        [
            f"[{skip['dataset']}] MANUAL DOWNLOAD NEEDED ({skip['status']})",
            f"  Why   : {manual['why_not_automatic']}",
            f"  Get   : {', '.join(manual['what_to_get'])} (or the unpacked files)",
            f"  From  : {manual['where']}",
            f"  Place : {manual['put_it_here']}/",
            f"  Then  : {manual['how_to_continue']}",
            f"  Terms : {manual['licence']}",
        ]
    )
