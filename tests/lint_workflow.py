"""`snakemake --lint`, failing on every finding but the software environment: there is one, pinned, installed by pip."""

import subprocess
import sys

ALLOWED = "    * Specify a conda environment or container for each rule.:"


def findings() -> list[str]:
    run = subprocess.run(["snakemake", "--lint"], capture_output=True, text=True)
    lines = (run.stdout + run.stderr).splitlines()
    if not any(line.startswith(("Lints for", "Congratulations")) for line in lines):
        return [f"snakemake --lint gave no report: {' '.join(lines)}"]
    where, found = "", []
    for line in lines:
        where = line if line.startswith("Lints for") else where
        if line.startswith("    * ") and line != ALLOWED:
            found.append(f"{where} {line.strip(' *')}")
    return found


if __name__ == "__main__":
    found = findings()
    print("\n".join(found) or "snakemake --lint: nothing but the software environment")
    sys.exit(bool(found))
