"""The client of the warm server: asks it to run this process's step, and stands for the step until it ends."""

import contextlib
import marshal
import os
import signal
import socket
import sys

from cones.runtime.warm.identity import identity
from cones.runtime.warm.offer import VARIABLE, offered
from cones.runtime.warm.protocol import ACCEPTED, CODE_BYTES, GO, LENGTH_BYTES, NOT_STARTED, user_behind

SERVER = "warm-server"  # the argument that makes `python -m cones` a server instead of a step
PATIENCE = 60.0  # seconds in which a server must have imported what it needs


def run_warm() -> None:
    """Ends this process with the exit code of the step if a server ran it; returns if it is up to this process.

    In a server it returns once in every process that the server forks, which then is the client's step.
    """
    if sys.argv[1:2] == [SERVER] and len(sys.argv) == 3:
        from cones.runtime.warm.server import serve

        serve(int(sys.argv[2]))
    elif address := offered():
        with contextlib.suppress(OSError, EOFError):
            if (code := _run_by_server(address)) is not None:
                os._exit(code)


def _run_by_server(address: str) -> int | None:
    """Exit code of the step, run by the server; None, or an error, if no server ran it and none will."""
    with _connect(address) as connection:
        connection.settimeout(PATIENCE)
        request = marshal.dumps((identity(), sys.argv, dict(os.environ)))
        socket.send_fds(connection, [len(request).to_bytes(LENGTH_BYTES)], [0, 1, 2])
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
    """Forward signals to the step: a person or program sends them to this process, which stands for it."""

    def pass_on(number: int, frame: object) -> None:
        with contextlib.suppress(OSError):
            connection.send(bytes([number]))

    handled = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, pass_on) for number in handled}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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
    if user_behind(connection) != os.getuid():
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
