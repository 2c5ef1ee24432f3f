"""`snakemake --lint`, failing on every finding but the software environment: there is one pinned environment."""

import json
import subprocess
import sys

ALLOWED = {"Missing software environment definition"}


def findings() -> list[str]:
    run = subprocess.run(["snakemake", "--lint", "json"], capture_output=True, text=True)
    try:
        report = json.loads(run.stdout[run.stdout.index("{") :])
    except ValueError:
        return [f"snakemake --lint gave no report: {run.stderr.strip() or run.stdout.strip()}"]
    rules = [(f"rule {rule['name']} ({rule['snakefile']})", rule["lints"]) for rule in report.get("rules", [])]
    files = [(each["snakefile"], each["lints"]) for each in report.get("snakefiles", [])]
    return [
        f"{where}: {lint['title']}" for where, lints in files + rules for lint in lints if lint["title"] not in ALLOWED
    ]


if __name__ == "__main__":
    found = findings()
    print("\n".join(found) or "snakemake --lint: clean (one pinned environment, installed by pip)")
    sys.exit(bool(found))
