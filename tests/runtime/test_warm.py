"""Warm steps: what a person sees is what a cold process shows; nothing outlives its client, its run or its sources.

Every step here is a real process. A step that reads a fifo runs until the test wants it to end.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from cones.cli.main import app
from cones.runtime.warm.imports import NVML_CHECK, command_of, statements_behind
from cones.runtime.warm.offer import VARIABLE

ROOT = Path(__file__).resolve().parents[2]
PYTHON_M_CONES = [sys.executable, "-m", "cones"]
SECONDS = 60

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="steps start warm on Linux only")


class Run:
    """A folder with its own copy of the sources, and steps in it that belong to this process as to a run."""

    def __init__(self, base: Path):
        self.sources, self.folder = base / "sources", base / ("a-deep-folder-" * 8) / "project"
        for package in ("cones", "baselines"):
            shutil.copytree(ROOT / package, self.sources / package, ignore=shutil.ignore_patterns("__pycache__"))
        self.folder.mkdir(parents=True)
        shutil.copytree(ROOT / "config", self.folder / "config")
        shutil.copy(ROOT / "datasets.yaml", self.folder)
        os.mkfifo(self.folder / "table1.csv")
        self.address = f"{os.getpid()}-test{id(self)}"

    def environment(self, *, warm: bool = True, **more: str) -> dict[str, str]:
        address = self.address if warm else "0"
        own = {"PYTHONPATH": str(self.sources), "OMP_NUM_THREADS": "1", VARIABLE: address, **more}
        return {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"} | own

    def start(self, *words: str, cwd: Path | None = None, warm: bool = True, **more: str) -> subprocess.Popen:
        return subprocess.Popen(
            [*PYTHON_M_CONES, *words],
            cwd=cwd or self.folder,
            env=self.environment(warm=warm, **more),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def step(self, *words: str, **how) -> tuple[int, str, str]:
        """(exit code, what it printed, its errors)."""
        return outcome(self.start(*words, **how))

    def waiting_step(self, **how) -> tuple[subprocess.Popen, int]:
        """A step that reads the fifo, and the end of the fifo that keeps it waiting; it runs when this returns."""
        client = self.start("show", "table1.csv", **how)
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            try:
                return client, os.open(self.folder / "table1.csv", os.O_WRONLY | os.O_NONBLOCK)
            except OSError:  # nobody reads yet
                time.sleep(0.02)
        raise TimeoutError

    @property
    def log(self) -> str:
        return (self.folder / "logs/warm.log").read_text()

    @property
    def served(self) -> int:
        """Steps that servers ran to their end."""
        return self.log.count(" ended with ")

    def server(self) -> psutil.Process:
        """The living one that started last."""
        started = re.findall(r"warm server (\d+): starts", self.log)
        return psutil.Process(next(pid for pid in map(int, reversed(started)) if psutil.pid_exists(pid)))

    def running_step(self) -> psutil.Process:
        (step,) = self.server().children()
        return step


def outcome(client: subprocess.Popen) -> tuple[int, str, str]:
    out, err = client.communicate(timeout=SECONDS)
    return client.returncode, out, err


def as_a_shell_says(code: int) -> int:
    return code if code >= 0 else 128 - code


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Begins with two steps at once, of which one must start the server."""
    # in the background of a script Ctrl-C is ignored, and all below would inherit that
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    run = Run(tmp_path_factory.mktemp("warm"))
    clients = [run.start("datasets", "show", "bccd") for _ in range(2)]
    run.first = [outcome(client) for client in clients]
    yield run
    run.server().kill()
    signal.signal(signal.SIGINT, before)


def test_two_at_once_start_one_server_and_both_run_in_it(run):
    assert [code for code, _, _ in run.first] == [0, 0]
    assert run.log.count(": starts") == run.log.count(": ready after") == 1
    assert len(re.findall("ended with 0: datasets show bccd", run.log)) == 2


def test_the_server_is_of_the_process_group_of_the_run_and_holds_no_stream_of_it(run):
    server = run.server()
    assert os.getpgid(server.pid) == os.getpgid(0)
    streams = [os.readlink(f"/proc/{server.pid}/fd/{number}") for number in (0, 1, 2)]
    assert streams == ["/dev/null", *[str(run.folder / "logs/warm.log")] * 2]
    assert server.num_threads() == 1


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["datasets", "show", "bccd"], 0, ""),
        (["datasets", "show", "bcd"], 1, 'error: the registry: no dataset "bcd"; next: did you mean "bccd"?\n'),
        (["text"], 2, "Missing option '--model'"),
        (["learning-rates", "--cells", "."], 1, "\nerror: IsADirectoryError: "),
    ],
)
def test_output_errors_and_exit_code_are_those_of_a_cold_process(run, words, code, message):
    before = run.served
    warm = run.step(*words)
    assert run.served == before + 1
    assert warm == run.step(*words, warm=False)
    assert warm[0] == code and message in warm[2]
    assert "runtime/warm" not in warm[2]


def test_the_environment_is_the_clients(run):
    before = run.served
    for overrides, message in (('{"one": 1}', "one: unknown key"), ('{"two": 1}', "two: unknown key")):
        code, _, errors = run.step("weights", "--model", "glip_nano", CONES_SUITE="ci", CONES_SET=overrides)
        assert code == 1 and message in errors
    assert run.served == before + 2


def test_another_folder_or_number_of_threads_is_run_cold(run, tmp_path):
    shutil.copytree(run.folder / "config", tmp_path / "config")
    shutil.copy(run.folder / "datasets.yaml", tmp_path)
    before = run.served
    assert run.step("datasets", "show", "bccd", cwd=tmp_path) == run.first[0]
    assert run.step("datasets", "show", "bccd", OMP_NUM_THREADS="2") == run.first[0]
    assert run.served == before
    assert "not the server's folder, sys.path" in run.log and "not the server's $OMP_NUM_THREADS" in run.log


def test_after_an_edit_steps_are_run_cold(run):
    source = run.sources / "cones" / "cli" / "datasets.py"
    text, status, before = source.read_text(), source.stat(), run.served
    source.write_text(text.replace('no dataset "{name}"', 'no set "{name}"'))
    assert 'no set "bcd"' in run.step("datasets", "show", "bcd")[2]
    assert run.served == before
    source.write_text(text)
    os.utime(source, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert 'no dataset "bcd"' in run.step("datasets", "show", "bcd")[2]
    assert run.served == before + 1


def test_a_client_that_is_killed_takes_its_step_with_it(run):
    client, fifo = run.waiting_step()
    step = run.running_step()
    client.kill()
    assert step.wait(SECONDS) is None and not psutil.pid_exists(step.pid)
    assert client.wait(SECONDS) == -signal.SIGKILL
    os.close(fifo)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 128 + signal.SIGTERM), (signal.SIGINT, 130)])
def test_signals_are_passed_on(run, number, code):
    client, fifo = run.waiting_step()
    step = run.running_step()
    client.send_signal(number)
    said = outcome(client)[1:]
    assert not psutil.pid_exists(step.pid)
    os.close(fifo)
    cold, fifo = run.waiting_step(warm=False)
    cold.send_signal(number)
    assert outcome(cold)[1:] == said
    os.close(fifo)
    assert client.returncode == as_a_shell_says(cold.returncode) == code


def test_a_step_that_dies_of_a_signal_says_so(run):
    client, fifo = run.waiting_step()
    run.running_step().kill()
    assert outcome(client)[0] == 128 + signal.SIGKILL
    os.close(fifo)


def test_a_step_dies_with_its_server_and_the_next_client_starts_another_one(run):
    client, fifo = run.waiting_step()
    server, step = run.server(), run.running_step()
    server.kill()
    code, _, errors = outcome(client)
    assert code == 1 and "the warm process of this step is gone" in errors
    step.wait(SECONDS)
    os.close(fifo)
    assert run.step("datasets", "show", "bccd") == run.first[0]
    assert run.server().pid != server.pid and run.server().is_running()


def test_the_server_ends_with_its_run(run):
    script = f"export {VARIABLE}=$$-over; '{sys.executable}' -m cones datasets show bccd; read"
    over = subprocess.Popen(
        ["bash", "-c", script], cwd=run.folder, env=run.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    over.stdout.read(1)
    server = run.server()
    assert server.is_running()
    over.kill()
    over.wait()
    server.wait(SECONDS)
    assert f"warm server {server.pid}: ends" in run.log


IMITATED_GPU = """
import torch

asked = []
torch._C._cuda_getDeviceCount = lambda: asked.append("device count") or {visible}  # the real one initialises the driver
torch._C._cuda_getCurrentRawStream = lambda device: 0
torch._C._accelerator_getAccelerator = lambda: torch.device("cuda")
torch.cuda._device_count_nvml = lambda: {visible}

from cones.runtime.warm import imports

imports.NVML_CHECK = "{variable}"
reason, steps = imports.import_always(), imports.StepImports()
for words in {steps} * 2:
    steps.for_step(words)
print(reason or imports.unfit(), torch.cuda.is_initialized(), asked)
"""


def imitated_gpu(run, *, visible: int, variable: str = NVML_CHECK, steps: list[list[str]]) -> str:
    """What a process says that imports as a server does, with a PyTorch that is built for CUDA."""
    environment = {name: value for name, value in run.environment().items() if name != NVML_CHECK}
    script = IMITATED_GPU.format(visible=visible, variable=variable, steps=steps)
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=run.folder, env=environment, capture_output=True, text=True
    )
    return done.stdout.strip() or done.stderr


def test_where_a_gpu_is_visible_no_step_is_forked_and_the_driver_is_left_alone(run):
    assert imitated_gpu(run, visible=1, steps=[]) == "a GPU is visible False []"


@pytest.mark.parametrize(
    ("variable", "said"),
    [
        (NVML_CHECK, "None False []"),
        pytest.param("ANOTHER", "None False ['device count']", marks=pytest.mark.slow),
    ],
)
def test_no_import_of_the_server_initialises_the_driver_of_a_gpu(run, variable, said):
    """Without the variable that the server sets, an import of diffusers does."""
    steps = [["tune"], ["evaluate"], ["embed"], ["generation", "learn"], ["generation", "score"]]
    assert imitated_gpu(run, visible=0, variable=variable, steps=steps) == said


@pytest.mark.parametrize(
    ("words", "needs", "needs_not"),
    [
        (["tune"], ("cones.steps.tune", "safetensors.torch", "tokenizers"), ("umap", "diffusers", "matplotlib")),
        (["generation", "learn"], ("cones.steps.generation", "diffusers", "transformers"), ("umap",)),
        (["make"], ("cones.outputs.make", "cones.outputs.figure4"), ("diffusers", "umap")),
    ],
    ids=" ".join,
)
def test_what_is_imported_for_a_step_is_read_from_its_sources(words, needs, needs_not):
    found = {module for module, _ in statements_behind(command_of([*words, "--suite", "ci"]))}
    assert found.issuperset(needs) and found.isdisjoint(needs_not)


def test_every_command_is_found_by_its_words_and_nothing_else_is():
    import typer

    group = typer.main.get_command(app)
    commands = [
        [name, *sub]
        for name, one in group.commands.items()
        for sub in ([[each] for each in getattr(one, "commands", ())] or [[]])
    ]
    assert len(commands) > 30 and all(map(command_of, commands))
    assert command_of([]) is command_of(["tun"]) is command_of(["--help"]) is command_of(["generation"]) is None


def test_what_is_behind_a_step_is_imported_when_it_comes_again(run):
    assert run.log.count("imported for datasets: ") == 1


def test_an_address_of_a_run_that_is_not_above_is_of_no_use(run):
    other = subprocess.Popen(["sleep", str(SECONDS)])
    before = run.log
    for address in (f"{other.pid}-other", "1", "off", ""):
        assert run.step("datasets", "show", "bccd", **{VARIABLE: address}) == run.first[0]
    other.kill()
    other.wait()
    assert run.log == before
