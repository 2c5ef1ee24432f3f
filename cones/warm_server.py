"""The warm server: imports what steps import, then forks once per client; the copy is the client's step.

It starts no thread and does not touch a GPU before it forks (a CUDA context does not survive a fork; a step makes its
own), it runs in the process group of the run that it belongs to, and it ends with it or when nobody asked for a while.
"""

import contextlib
import ctypes
import gc
import importlib
import io
import marshal
import os
import selectors
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cones import warm

IDLE_SECONDS = 300.0
# What steps import, measured: torch._dynamo (1 s) is imported by the first optimiser and the first module on "meta".
MODULES = (
    "cones.cli",
    "cones.miniature.archives",
    "cones.steps.collect",
    "cones.steps.data",
    "cones.steps.evaluate",
    "cones.steps.text",
    "cones.steps.tune",
    "cones.steps.weights",
    "numpy.random",
    "safetensors.torch",
    "tokenizers",
    "torch._dynamo",
)
# Imported when the first step that needs them asks: seconds that a run without pictures does not pay.
WHEN_ASKED = {
    "generation": (
        "cones.steps.collect_subjects",
        "cones.steps.generation",
        "diffusers.models.autoencoders.autoencoder_kl",
        "diffusers.models.unets.unet_2d_condition",
        "diffusers.schedulers.scheduling_ddim",
        "transformers.models.clip.modeling_clip",
        "transformers.models.clip.tokenization_clip",
    )
}
# A terminal sends these to all processes of its group. Those meant for the server's steps are not meant for it.
GROUP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PR_SET_PDEATHSIG = 1
NVML_CHECK = "PYTORCH_NVML_BASED_CUDA_CHECK"  # 1: torch.cuda.is_available() does not initialise CUDA


@dataclass
class Client:
    """One `python -m cones` that waits, what it lent, and the process that runs its step."""

    connection: socket.socket
    arguments: list[str]
    environment: dict[str, str]
    streams: list[int]
    pid: int | None = None
    pidfd: int | None = None

    def close_streams(self) -> None:
        for descriptor in self.streams:
            os.close(descriptor)
        self.streams = []

    def close(self) -> None:
        self.connection.close()
        self.close_streams()
        if self.pidfd is not None:
            os.close(self.pidfd)
            self.pidfd = None


def serve(listener: int) -> None:
    """Serve until the run is over; returns in each forked process, which goes on as the step of its client."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, GROUP_SIGNALS)
    server = Server(socket.socket(fileno=listener))
    server.prepare()
    client = server.wait_for_a_step()
    if client is None:
        _say("ends")
        os._exit(0)
    try:
        _become(client, mask)
    except Exception:
        client.connection.sendall(warm.NOT_STARTED.to_bytes(warm.CODE_BYTES))
        os._exit(1)
    client.close()


class Server:
    """Clients and their steps; one thread, which waits for whatever happens next."""

    def __init__(self, listener: socket.socket):
        self.pid, self.clients, self.world = os.getpid(), [], None
        self.listener: socket.socket | None = listener
        self.run = os.pidfd_open(warm.run_of(os.environ[warm.VARIABLE]))
        # not epoll: a forked process shares that with the server, and would change it
        self.selector = selectors.PollSelector()
        self.asked = time.monotonic()
        self._listen_to(listener, self._accept)
        self._listen_to(self.run, self._close_the_door)

    def prepare(self) -> None:
        """Import what steps need. A server that is not fit to fork refuses everyone, which costs them nothing."""
        started, before = time.monotonic(), warm.world()
        _say("starts")
        try:
            reason = _import_all()
        except Exception as error:  # whatever it is, a cold step says it better
            reason = f"{type(error).__name__}: {error}"
        if not reason and warm.world()["sources"] != before["sources"]:
            reason = "sources changed while they were imported"
        self.world = None if reason else before
        _say(f"cannot fork: {reason}" if reason else f"ready after {time.monotonic() - started:.1f} s")
        self.asked = time.monotonic()

    def wait_for_a_step(self) -> Client | None:
        """In a forked process: the client whose step it is. In the server: None, when all is over."""
        while self.clients or (self.listener and self._seconds_left() > 0):
            for key, _ in self.selector.select(None if self.clients else self._seconds_left()):
                still_meant = self.selector.get_map().get(key.fd) is key  # what happened before may have closed it
                if still_meant and (client := key.data()):
                    self._forget_the_server()
                    return client
        return None

    def _seconds_left(self) -> float:
        return self.asked + IDLE_SECONDS - time.monotonic()

    def _listen_to(self, source: socket.socket | int, then: Callable[[], Client | None]) -> None:
        self.selector.register(source, selectors.EVENT_READ, then)

    def _close_the_door(self) -> None:
        """The run is gone: steps that still run may finish, as cold ones would."""
        self.selector.unregister(self.run)
        self.selector.unregister(self.listener)
        self.listener.close()
        self.listener = None

    def _accept(self) -> None:
        connection, _ = self.listener.accept()
        self.asked = time.monotonic()
        client = None
        with contextlib.suppress(OSError, EOFError, ValueError, TypeError, KeyError):
            client = self._read_request(connection)
        if client is None:
            connection.close()
            return
        self.clients.append(client)
        self._listen_to(connection, lambda: self._hear(client))

    def _read_request(self, connection: socket.socket) -> Client | None:
        """A client of this user and world, who has been told ACCEPTED; None for another."""
        if not self.world or _user_of(connection) != os.getuid():  # before a byte of it is read
            return None
        connection.settimeout(10)
        length, streams, _, _ = socket.recv_fds(connection, 8, 3)
        try:
            world, arguments, environment = marshal.loads(_receive(connection, int.from_bytes(length)))
            if different := _differences(world, self.world):
                _say(f"refuses a step: not the server's {', '.join(different)}")
                return None
            connection.sendall(warm.ACCEPTED)
            client, streams = Client(connection, arguments, environment, streams), []
            return client
        finally:
            for descriptor in streams:
                os.close(descriptor)

    def _hear(self, client: Client) -> Client | None:
        """GO, the number of a signal for the step, or the end of the client, which is the end of its step."""
        try:
            word = client.connection.recv(1)
        except OSError:
            word = b""
        if client.pid is None:
            return self._fork(client) if word == warm.GO else self._drop(client)
        os.kill(client.pid, word[0] if word else signal.SIGKILL)
        if not word:
            self.selector.unregister(client.connection)
        return None

    def _fork(self, client: Client) -> Client | None:
        """Returns the client in its new process, None in the server."""
        try:
            self._import_for(client)
            client.pid = os.fork()
        except (OSError, ImportError):
            self._answer(client, warm.NOT_STARTED)
            return None
        if client.pid == 0:
            return client
        client.close_streams()
        client.pidfd = os.pidfd_open(client.pid)
        self._listen_to(client.pidfd, lambda: self._step_ended(client))
        return None

    def _import_for(self, client: Client) -> None:
        """What only some steps need, before the first of them; an OSError if there must be no fork after that."""
        modules = [name for name in WHEN_ASKED.get("".join(client.arguments[1:2]), ()) if name not in sys.modules]
        if not modules:
            return
        started = time.monotonic()
        _import(modules)
        if reason := _unfit():
            self.world = None
            _say(f"cannot fork any more: {reason}")
            raise OSError
        _say(f"ready for {client.arguments[1]} after {time.monotonic() - started:.1f} s")

    def _step_ended(self, client: Client) -> None:
        code = os.waitstatus_to_exitcode(os.waitpid(client.pid, 0)[1])
        _say(f"step {client.pid} ended with {code}: {' '.join(client.arguments[1:])}")
        self.selector.unregister(client.pidfd)
        self._answer(client, code if code >= 0 else 128 - code)  # death by a signal, as a shell says it

    def _answer(self, client: Client, code: int) -> None:
        with contextlib.suppress(OSError):
            client.connection.sendall(code.to_bytes(warm.CODE_BYTES))
        self._drop(client)

    def _drop(self, client: Client) -> None:
        if client.connection.fileno() in self.selector.get_map():
            self.selector.unregister(client.connection)
        self.clients.remove(client)
        client.close()
        self.asked = time.monotonic()

    def _forget_the_server(self) -> None:
        """In a forked process: it dies with the server, and holds nothing of it but its own client."""
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))
        if os.getppid() != self.pid:  # the server was gone before
            os._exit(1)
        self.selector.close()
        os.close(self.run)
        if self.listener:
            self.listener.close()
        for client in self.clients:
            if client.pid != 0:
                client.close()


def _import_all() -> str | None:
    """Why a process with these imports must not be forked, or None."""
    _import(MODULES)
    from cones import built_in

    _import((*built_in.METHODS.values(), *built_in.MODELS.values(), *built_in.FORMATS.values()))
    return _unfit()


def _import(modules: Iterable[str]) -> None:
    """diffusers looks for a GPU when it is imported: that must not initialise its driver, which outlives no fork."""
    os.environ[NVML_CHECK] = "1"  # steps have the environment of their clients
    for name in modules:
        importlib.import_module(name)


def _unfit() -> str | None:
    """Why this process must not be forked as it is, or None; what it has imported is then shared with its copies."""
    import torch

    if (threads := len(os.listdir("/proc/self/task"))) > 1:
        return f"{threads} threads run; OMP_NUM_THREADS=1 keeps imports from starting them"
    if torch.cuda.is_initialized():
        return "CUDA is initialised"
    gc.collect()
    gc.freeze()  # a step's garbage collection then leaves the imported objects alone, and so shared
    return None


def _become(client: Client, mask: set[signal.Signals]) -> None:
    """Everything of this process that differs from a cold one: streams, arguments, environment, signals."""
    for target, stream in enumerate(client.streams):
        os.dup2(stream, target)
    sys.stdin = sys.__stdin__ = _stream(0, sys.stdin)
    sys.stdout = sys.__stdout__ = _stream(1, sys.stdout)
    sys.stderr = sys.__stderr__ = _stream(2, sys.stderr)
    sys.argv[:] = client.arguments
    os.environ.clear()
    os.environ.update(client.environment)
    tempfile.tempdir = None  # found anew, from the environment
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt_once())
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _stream(descriptor: int, like: io.TextIOWrapper) -> io.TextIOWrapper:
    """A standard stream as the interpreter opens it: how it is buffered depends on what it leads to."""
    unbuffered = like.write_through  # PYTHONUNBUFFERED, which is part of the environment's early part
    binary = open(  # noqa: SIM115
        descriptor, "wb" if descriptor else "rb", buffering=0 if unbuffered else -1, closefd=False
    )
    return io.TextIOWrapper(
        binary,
        encoding=like.encoding,
        errors=like.errors,
        line_buffering=descriptor == 2 or binary.isatty(),
        write_through=unbuffered,
    )


def _interrupt_once() -> Callable[[int, object], None]:
    """Ctrl-C reaches a step twice, from the terminal and passed on by its client; the second within 1 s is the same."""
    last = float("-inf")

    def interrupt(number: int, frame: object) -> None:
        nonlocal last
        before, last = last, time.monotonic()
        if last - before > 1:
            signal.default_int_handler(number, frame)

    return interrupt


def _differences(world: dict[str, object], other: dict[str, object]) -> list[str]:
    """The parts in which two worlds differ; of the environment the names of variables, never their values."""
    parts = [part for part in world if world[part] != other[part] and part != "environment"]
    changed = set(world["environment"].items()) ^ set(other["environment"].items())
    return parts + sorted({f"${name}" for name, _ in changed})


def _user_of(connection: socket.socket) -> int:
    return int.from_bytes(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)[4:8], sys.byteorder)


def _receive(connection: socket.socket, length: int) -> bytes:
    received = bytearray()
    while len(received) < length:
        received += (some := connection.recv(length - len(received)))
        if not some:
            raise EOFError
    return bytes(received)


def _say(text: str) -> None:
    with contextlib.suppress(OSError):
        print(f"{time.strftime('%H:%M:%S')} warm server {os.getpid()}: {text}", flush=True)
