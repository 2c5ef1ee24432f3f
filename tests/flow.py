"""A workflow in a folder of its own: the repository's Snakefile, config and registry, results apart."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def jobs_of(said: str) -> dict[str, int]:
    """{rule: jobs} of what a run or a dry run said that it was about to do."""
    rows = said.partition("Job stats:")[2].partition("total")[0].splitlines()[3:]
    return {rule: int(count) for rule, count in (row.split() for row in rows if row.strip())}


class Workflow:
    """`run(targets…)` calls snakemake in `folder`; config and registry are copies that a test may change."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "datasets.yaml").exists():
            shutil.copytree(ROOT / "config", folder / "config", dirs_exist_ok=True)
            shutil.copy(ROOT / "datasets.yaml", folder / "datasets.yaml")

    def command(self, *arguments: str) -> list[str]:
        snakemake = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
        return [*snakemake, "--directory", str(self.folder), "--cores", "2", *arguments]

    @property
    def environment(self) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        python_path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        return {**os.environ, "PATH": path, "PYTHONPATH": python_path}

    def run(self, *arguments: str, check: bool = True, timeout: float = 600) -> str:
        """What snakemake printed; with `check` a failure of the run fails the test."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        said = done.stdout + done.stderr
        assert not check or done.returncode == 0, said[-4000:]
        assert check or done.returncode != 0, "expected a failure"
        return said

    def planned(self, *arguments: str) -> dict[str, int]:
        """{rule: jobs} of a dry run."""
        return jobs_of(self.run("--dry-run", *arguments))

    def cell(self, dataset: str, arm: str, suite: str = "ci") -> Path:
        return self.folder / "results" / suite / "glip_nano" / dataset / arm / "seed0"

    def state(self, dataset: str, arm: str) -> str:
        return str((self.cell(dataset, arm) / "state.safetensors").relative_to(self.folder))
