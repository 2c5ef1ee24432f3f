"""Where the time of a finished run went: seconds of its jobs by rule, and what a step costs cold and warm.

    python benchmarks/breakdown.py [--suite miniature --cores 2]

Reads what Snakemake recorded of each job (.snakemake/metadata) and tuning.json of each cell; nothing is run but one
step, `text`, by hand: three times cold, three times warm. Writes benchmarks/breakdown.json and prints the rows of the
README.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

METADATA = Path(".snakemake/metadata")


def jobs(suite: str) -> list[tuple[str, float, float]]:
    """(rule, start, end) of every job for drawn data or for the suite; a job with several files counts once."""
    found = {}
    for path in METADATA.rglob("*"):
        if path.is_file():
            job = json.loads(path.read_text(encoding="utf-8"))
            log = " ".join(job["log"])
            if ("logs/data/miniature/" in log or f"logs/{suite}/" in log) and job["starttime"] and job["endtime"]:
                found[log] = (job["rule"], job["starttime"], job["endtime"])
    return sorted(found.values(), key=lambda job: job[1])


def tuning_seconds(suite: str) -> dict[str, float]:
    """Seconds in the training loop, validation apart, by arm."""
    seconds: dict[str, float] = {}
    for path in Path("results", suite).rglob("tuning.json"):
        arm = path.parts[-3]
        seconds[arm] = seconds.get(arm, 0.0) + json.loads(path.read_text(encoding="utf-8")).get("seconds", 0.0)
    return seconds


def one_step(suite: str, *, warm: bool, repeats: int = 3) -> float:
    """Median seconds of the step `text` on one dataset; the server of the warm ones is started before."""
    from cones.runtime.warm.offer import VARIABLE, offer

    if warm:
        offer()
    model, dataset = next(Path("results", suite).glob("*/*/text.safetensors")).parts[-3:-1]
    command = [sys.executable, "-m", "cones", "text", "--suite", suite, "--model", model, "--dataset", dataset]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **({} if warm else {VARIABLE: "0"})}
    seconds = []
    for _ in range(repeats + 2):  # the server has imported what is behind a step when it comes for the second time
        started = time.monotonic()
        subprocess.run(command, check=True, capture_output=True, env=environment)
        seconds.append(time.monotonic() - started)
    return statistics.median(seconds[2:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--suite", default="miniature")
    parser.add_argument("--cores", type=int, default=2)
    options = parser.parse_args()
    done = jobs(options.suite)
    wall = max(end for _, _, end in done) - min(start for _, start, _ in done)
    rules = {rule: [end - start for name, start, end in done if name == rule] for rule, _, _ in done}
    busy = sum(map(sum, rules.values()))
    print(f"{len(done)} jobs, {wall:.0f} s of wall time on {options.cores} cores, {busy:.0f} s in jobs\n")
    print("| rule | jobs | seconds in all | seconds a job |\n|---|--:|--:|--:|")
    for rule, seconds in sorted(rules.items(), key=lambda item: -sum(item[1])):
        print(f"| `{rule}` | {len(seconds)} | {sum(seconds):.0f} | {statistics.mean(seconds):.1f} |")
    loop = tuning_seconds(options.suite)
    steps = {"cold": one_step(options.suite, warm=False), "warm": one_step(options.suite, warm=True)}
    print(f"\nin the training loop: {sum(loop.values()):.0f} s")
    print(f"step `text`: cold {steps['cold']:.2f} s, warm {steps['warm']:.2f} s")
    record = {
        "suite": options.suite,
        "cores": options.cores,
        "wall_seconds": round(wall, 1),
        "rules": {rule: {"jobs": len(each), "seconds": round(sum(each), 1)} for rule, each in rules.items()},
        "training_loop_seconds": {arm: round(value, 1) for arm, value in sorted(loop.items())},
        "text_step_seconds": {name: round(value, 2) for name, value in steps.items()},
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
