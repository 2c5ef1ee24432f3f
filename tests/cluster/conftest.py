"""A real SLURM cluster of one node, on loopback: munged, slurmctld and slurmd of the installed packages."""

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

CONFIGURATION = Path("/etc/slurm/slurm.conf")
NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel")
CONF = """
ClusterName=cones
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=2
MinJobAge=36000
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


class Cluster:
    """Daemons in the foreground, their files in `folder`, their configuration where SLURM's commands look for it.

    `SLURM_CONF` would do for the commands, but Snakemake clears SLURM_… before a job's own call of srun.
    """

    def __init__(self, folder: Path):
        self.folder, self.daemons = folder, []

    def start(self) -> None:
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
        CONFIGURATION.write_text(
            CONF.format(
                host=socket.gethostname().partition(".")[0],
                controller=free_port(),
                node=free_port(),
                folder=self.folder,
                cpus=os.cpu_count(),
                memory=memory * 9 // 10,
            )
        )
        files = [f"--{name}-file={self.folder}/munge.{name}" for name in ("key", "pid", "log", "seed")]
        self._daemon("munged", "--foreground", "--force", f"--socket={self.folder}/munge.socket", *files)
        self._wait(lambda: (self.folder / "munge.socket").exists(), "munged")
        self._daemon("slurmctld", "-D")
        self._daemon("slurmd", "-D")
        self._wait(lambda: "idle" in self.said("sinfo", "--noheader", "--format=%t"), "the node")

    def said(self, *command: str) -> str:
        return subprocess.run(command, capture_output=True, text=True, timeout=60).stdout

    def stop(self) -> None:
        CONFIGURATION.unlink(missing_ok=True)
        for daemon in reversed(self.daemons):
            daemon.terminate()
        for daemon in self.daemons:
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()

    def _daemon(self, name: str, *arguments: str) -> None:
        with open(self.folder / f"{name}.out", "wb") as out:
            self.daemons.append(subprocess.Popen([found(name), *arguments], stdout=out, stderr=subprocess.STDOUT))

    def _wait(self, ready, what: str) -> None:
        end = time.monotonic() + 60
        while not ready():
            if time.monotonic() > end:
                logs = "\n".join(path.read_text(errors="replace")[-1500:] for path in sorted(self.folder.glob("*.out")))
                raise RuntimeError(f"{what} of the test cluster did not come up:\n{logs}")
            time.sleep(0.2)


def found(command: str) -> str | None:
    """Its path; daemons lie in /usr/sbin, which a PATH need not have."""
    return shutil.which(command, path=f"{os.environ['PATH']}:/usr/sbin")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def cluster(tmp_path_factory):
    missing = [name for name in NEEDED if not found(name)]
    if missing or os.geteuid() != 0:
        pytest.skip(f"needs root and Debian's slurm-wlm; missing: {', '.join(missing) or 'root'}")
    if CONFIGURATION.exists():
        pytest.skip(f"{CONFIGURATION} is there: this machine belongs to a cluster, which is left alone")
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
