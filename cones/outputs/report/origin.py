"""The provenance of the results as the cells recorded it: command, revision, versions, machine and dates."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Iterable

from cones.outputs.quantities import memory
from cones.outputs.records import Record

CHANGED = "+changes"
DIGITS = 12


def command(suite: str, overrides: dict, *, target: str = "results/report.html") -> str:
    """The one command that makes a target again from nothing; overrides as they were given."""
    settings = [f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in overrides.items()]
    return shlex.join(["snakemake", "--cores", "all", target, "--config", f"suite={suite}", *settings])


def origin(records: list[Record]) -> dict:
    """The provenance of all cells, each entry as a list of texts with the number of cells where they differ.

    Keys: `revisions`, `devices`, `machines`, `platforms`, `versions` (text), `weights`, `first`, `last` (dates),
    `example` (the command of one cell), `overrides` and `is_dirty` (uncommitted changes were there).
    """
    ran = [record for record in records if record.run]
    revisions = [record.said("revision") or "not recorded" for record in ran]
    dates = sorted(filter(None, (record.said("finished") for record in ran)))
    return {
        "cells": len(ran),
        "revisions": _counted(revisions),
        "is_dirty": any(CHANGED in revision for revision in revisions),
        "devices": _counted(record.said("device") or "not recorded" for record in ran),
        "machines": _counted(_machine(record) for record in ran),
        "platforms": _counted(record.said("platform") or "not recorded" for record in ran),
        "versions": _counted(_versions(record) for record in ran),
        "weights": sorted({weight for record in ran for weight in _weights(record)}),
        "first": _date(dates[0]) if dates else None,
        "last": _date(dates[-1]) if dates else None,
        "example": shlex.join(ran[0].said("command") or ()) if ran else None,
        "overrides": _counted(json.dumps(given) for record in ran if (given := record.said("overrides"))),
    }


def _date(text: str) -> str:
    return text.replace("T", " ").replace("+00:00", " UTC")


def _counted(texts: Iterable[str]) -> list[str]:
    """The distinct texts, the most frequent first, with the number of cells behind each unless all agree."""
    counts = Counter(texts)
    if len(counts) == 1:
        return list(counts)
    return [f"{text} ({count} cells)" for text, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]


def _machine(record: Record) -> str:
    machine = record.said("machine")
    if not machine:
        return "not recorded"
    cores = f"{machine['cores']} core{'s' if machine['cores'] != 1 else ''}"
    parts = [machine.get("accelerator"), machine["processor"], cores, f"{memory(machine['memory_bytes'])} memory"]
    return ", ".join(filter(None, parts))


def _versions(record: Record) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted((record.said("versions") or {}).items()))


def _weights(record: Record) -> list[str]:
    """The weights a cell was made of, such as `checkpoints/glip_nano.safetensors 159e1d86e515`."""
    files = record.said("inputs_sha256") or {}
    return [f"{path} {digest[:DIGITS]}" for path, digest in files.items() if path.startswith("checkpoints/")]
