"""A step starts warm: a process that has imported PyTorch already forks, and the copy runs the step.

Most of a short step's time is imports. When `CONES_WARM` holds an address, `python -m cones …` asks the server of that
address to run the step and lends it its arguments, folder, environment and streams; the first to ask starts the server
(`cones/warm_server.py`). Whatever keeps the server from it, the process runs the step itself, cold: with the same
result, only later. This module stands before everything heavy, so it imports the standard library alone,
and one module of ours that does the same.
"""

import contextlib
import marshal
import os
import signal
import socket
import sys

from cones.sources import source_files

VARIABLE = "CONES_WARM"  # <pid of the run that the server belongs to>-<random>; or one of OFF
OFF = ("0", "off", "no", "false")
SERVER = "warm-server"  # the argument that makes `python -m cones` a server instead of a step

# What is said on a connection: the client sends its request, the server ACCEPTED, the client GO. From then on the
# client runs the step itself only if it hears NOT_STARTED: no step runs twice. It may send the numbers of signals, each
# a byte; the server sends the exit code. A connection that ends before GO is a no; after GO it is a death.
ACCEPTED, GO = b"\1", b"\0"
CODE_BYTES, NOT_STARTED = 2, 0xFFFF
PATIENCE = 60.0  # seconds in which a server must have imported what it needs

# Read by a step when it runs, as CONES_… are. Others may have been read by an import, and must be equal.
BOOKKEEPING = ("TMPDIR", "TMP", "TEMP", "TEMPDIR", "PWD", "OLDPWD", "SHLVL", "_", "COLUMNS", "LINES")
READ_LATE = (*BOOKKEEPING, "CUDA_VISIBLE_DEVICES")


def offer() -> None:
    """Let every `python -m cones` below this process start warm, unless the user said no; set once per run."""
    wish = os.environ.get(VARIABLE, "")
    if sys.platform == "linux" and wish.lower() not in OFF and not _is_offered(wish):
        os.environ[VARIABLE] = f"{os.getpid()}-{os.urandom(8).hex()}"


def run_warm() -> None:
    """Ends this process with the exit code of the step if a server ran it; returns if it is up to this process.

    In a server it returns once in every process that the server forks, which then is the client's step.
    """
    if sys.argv[1:2] == [SERVER] and len(sys.argv) == 3:
        from cones.warm_server import serve

        serve(int(sys.argv[2]))
    elif address := _usable_address():
        with contextlib.suppress(OSError, EOFError):
            if (code := _run_by_server(address)) is not None:
                os._exit(code)


def run_of(address: str) -> int:
    """The process that an address's server belongs to and ends with; a ValueError if this is no address."""
    process, _ = address.split("-")
    return int(process)


def world() -> dict[str, object]:
    """What a process is apart from its arguments and streams: a server runs a step only if theirs are equal."""
    early = {name: value for name, value in os.environ.items() if not name.startswith("CONES_")}
    return {
        "interpreter": (sys.executable, sys.version),
        "folder": os.getcwd(),
        "sys.path": tuple(sys.path),
        "environment": {name: value for name, value in early.items() if name not in READ_LATE},
        "sources": _sources(),
    }


def _sources() -> list[tuple[str, int, int]]:
    """(path, time, size) of each of our sources: after an edit, what a server has imported is not what a step is."""
    return [(path, (status := os.stat(path)).st_mtime_ns, status.st_size) for path in source_files()]


def _usable_address() -> str | None:
    """The address, if this is a plain `python -m cones` below the run that it belongs to."""
    address = os.environ.get(VARIABLE, "")
    plain = sys.orig_argv[1:3] == ["-m", "cones"]  # no options of the interpreter: they would not reach the server
    return address if plain and sys.platform == "linux" and _is_offered(address) else None


def _is_offered(address: str) -> bool:
    """Whether the run of an address is this process or above it: a job of another machine or batch system is not."""
    each = os.getpid()
    try:
        run = run_of(address)
        while each not in (run, 0):
            with open(f"/proc/{each}/stat", encoding="utf-8", errors="replace") as status:
                each = int(status.read().rpartition(")")[2].split()[1])  # after the name: state, parent
    except (ValueError, OSError):
        return False
    return each == run


def _run_by_server(address: str) -> int | None:
    """Exit code of the step, run by the server; None, or an error, if no server ran it and none will."""
    with _connect(address) as connection:
        connection.settimeout(PATIENCE)
        request = marshal.dumps((world(), sys.argv, dict(os.environ)))
        socket.send_fds(connection, [len(request).to_bytes(8)], [0, 1, 2])
        connection.sendall(request)
        if connection.recv(1) != ACCEPTED:
            return None
        connection.settimeout(None)
        connection.sendall(GO)
        with _signals_passed_on(connection):
            code = _exit_code(connection)
        return None if code == NOT_STARTED else code


def _exit_code(connection: socket.socket) -> int:
    """Never an error: after GO there is no way back."""
    try:
        received = connection.recv(CODE_BYTES, socket.MSG_WAITALL)
    except OSError:
        received = b""
    if len(received) == CODE_BYTES:
        return int.from_bytes(received)
    message = f"error: the warm process of this step is gone; next: run again, or run cold with {VARIABLE}=0\n"
    os.write(2, message.encode())
    return 1


@contextlib.contextmanager
def _signals_passed_on(connection: socket.socket):
    """What is sent to this process, which a person or program takes for the step, reaches the step."""

    def pass_on(number: int, frame: object) -> None:
        with contextlib.suppress(OSError):
            connection.send(bytes([number]))

    heard = [one for one in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(one) is not signal.SIG_IGN]
    before = {one: signal.signal(one, pass_on) for one in heard}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _connect(address: str) -> socket.socket:
    """A connection to the server, which is started if there is none.

    The name is an abstract one (it begins with a zero byte): it has no file that could be left behind and no folder
    that could be too deep, only one process can hold it, and it is free again when that process is gone.
    """
    name = f"\0cones-warm-{address}"
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(name)
    except ConnectionRefusedError:
        _start(name)
        connection.connect(name)
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)  # pid, user, group
    if int.from_bytes(credentials[4:8], sys.byteorder) != os.getuid():  # such a name has no permissions
        raise PermissionError
    return connection


def _start(name: str) -> None:
    """Start a server that listens to `name`; nothing if another process holds that name, and so has started one.

    This process listens first and hands the open socket to the server, so that a client never comes too early.
    """
    import subprocess

    with socket.socket(socket.AF_UNIX) as listener:
        try:
            listener.bind(name)
        except OSError:
            return
        listener.listen(1024)
        os.makedirs("logs", exist_ok=True)
        # streams of its own: a reader of this process's output waits until all who hold it are gone
        with open("logs/warm.log", "a", encoding="utf-8") as log:
            subprocess.Popen(
                [sys.executable, "-m", "cones", SERVER, str(listener.fileno())],
                pass_fds=[listener.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
