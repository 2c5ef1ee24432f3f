"""How long Snakemake takes to plan a grid: dry runs of 1,000 and of 10,000 cells, two jobs each, of made-up datasets.

    python benchmarks/dag.py [--cells 1000 10000 --profile]

Writes a suite and a registry into a folder of its own and calls `snakemake --dry-run` there; nothing is made. Seconds
are those of the processor: planning is one thread that waits for nothing, so on a quiet machine they are the time it
takes. Beside the whole dry run, parsing alone (`--list-rules`: config, registry, digests, missing files). Writes
benchmarks/dag.json and prints the rows of the README. `--profile` prints where the time of one dry run goes instead.
"""

import argparse
import json
import os
import platform
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
ARMS = ("zero_shot", "prompt_tuning", "cones", "full_finetuning", "cones_finetuned")
SEEDS = (0, 1, 2, 3)
ENTRY = {
    "paper_name": "made up",
    "group": "natural",
    "task": "detection",
    "classes": ["thing"],
    "home": "https://example.org",
    "licence": "none",
    "access": "open",
    "sources": {
        "official": {
            "folder": "pictures",
            "format": {"name": "csv_boxes", "images": "images", "annotations": "boxes.csv"},
            "split": {"rule": "test20_then_holdout80"},
        }
    },
}


def write_suite(folder: Path, cells: int) -> None:
    """A suite of `cells` cells: datasets x ARMS x SEEDS of one nano model; all datasets have the same empty folder."""
    names = [f"made_up_{number}" for number in range(cells // (len(ARMS) * len(SEEDS)))]
    suite = {
        "like": "ci",
        "suite": "dag",
        "source": "official",
        "registry": ["made_up.yaml"],
        "seeds": list(SEEDS),
        "datasets": names,
        "arms": list(ARMS),
    }
    shutil.copytree(ROOT / "config", folder / "config")
    shutil.copy(ROOT / "datasets.yaml", folder)
    (folder / "pictures").mkdir()
    (folder / "config" / "dag.yaml").write_text(yaml.safe_dump(suite), encoding="utf-8")
    (folder / "made_up.yaml").write_text(json.dumps(dict.fromkeys(names, ENTRY)), encoding="utf-8")


def snakemake(folder: Path, *arguments: str, profile: bool = False) -> tuple[float, str]:
    """(processor seconds, what it printed) of one call in `folder`."""
    start = ["-m", "cProfile", "-s", "tottime", "-m", "snakemake"] if profile else ["-m", "snakemake"]
    options = ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder), "--cores", "2"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "CONES_WARM": "0"}
    before = processor_seconds()
    done = subprocess.run(
        [sys.executable, *start, *options, *arguments, "--config", "suite=dag"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = processor_seconds() - before
    if done.returncode:
        sys.exit(done.stdout[-2000:] + done.stderr[-2000:])
    return seconds, done.stdout + done.stderr


def processor_seconds() -> float:
    """Of all child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(cells: int) -> dict:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_suite(folder, cells)
        parsing, _ = snakemake(folder, "--list-rules")
        seconds, said = snakemake(folder, "results/table1.csv", "--dry-run", "--quiet", "rules")
    return {
        "cells": cells,
        "jobs": int(re.search(r"^total\s+(\d+)", said, re.MULTILINE)[1]),
        "parse_seconds": round(parsing, 1),
        "dry_run_seconds": round(seconds, 1),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, nargs="+", default=[1000, 10000])
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    if options.profile:
        with tempfile.TemporaryDirectory() as place:
            write_suite(Path(place), options.cells[0])
            said = snakemake(Path(place), "results/table1.csv", "--dry-run", "--quiet", "rules", profile=True)[1]
        print(said.partition("function calls")[2][:6000])
        return
    rows = [measure(cells) for cells in sorted(options.cells)]
    for row in rows:
        print("| " + " | ".join(f"{value:,}" for value in row.values()) + " |")
    report = {"machine": platform.machine(), "cores": os.cpu_count(), "rows": rows}
    Path(__file__).with_suffix(".json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
