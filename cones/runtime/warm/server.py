"""The warm server: imports what steps import, then forks once per client; the copy is the client's step.

It starts no thread and does not touch a GPU before it forks (a CUDA context does not survive a fork), it runs in the
process group of the run that it belongs to, and it ends with it or when nobody asked for a while.
"""

import contextlib
import ctypes
import marshal
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from cones.runtime.warm.forked import become
from cones.runtime.warm.identity import differences, identity, sources
from cones.runtime.warm.imports import StepImports, import_always, unfit
from cones.runtime.warm.offer import VARIABLE, run_of
from cones.runtime.warm.protocol import ACCEPTED, CODE_BYTES, GO, LENGTH_BYTES, NOT_STARTED, user_behind

IDLE_SECONDS = 300.0
CHANGED = "sources changed while they were imported"
# A terminal sends these to all processes of its group. Those meant for the server's steps are not meant for it.
GROUP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PR_SET_PDEATHSIG = 1


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
        become(streams=client.streams, arguments=client.arguments, environment=client.environment, mask=mask)
    except Exception:
        client.connection.sendall(NOT_STARTED.to_bytes(CODE_BYTES))
        os._exit(1)
    client.close()


class Server:
    """Clients and their steps; one thread, which waits for whatever happens next."""

    def __init__(self, listener: socket.socket):
        self.pid, self.clients, self.imports = os.getpid(), [], StepImports()
        self.identity: dict[str, object] | None = None  # None: not fit to fork, refuses everyone
        self.listener: socket.socket | None = listener
        self.run = os.pidfd_open(run_of(os.environ[VARIABLE]))
        # not epoll: a forked process shares that with the server, and would change it
        self.selector = selectors.PollSelector()
        self.asked = time.monotonic()
        self._listen_to(listener, self._accept)
        self._listen_to(self.run, self._close_the_door)

    def prepare(self) -> None:
        """Import what every step needs. A server that is not fit to fork refuses everyone, which costs them nothing."""
        started, own = time.monotonic(), identity()
        _say("starts")
        try:
            reason = import_always()
        except Exception as error:  # whatever it is, a cold step says it better
            reason = f"{type(error).__name__}: {error}"
        if not reason and sources() != own["sources"]:
            reason = CHANGED
        self.identity = None if reason else own
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
        """A client of this user and identity, who has been told ACCEPTED; None for another."""
        if not self.identity or user_behind(connection) != os.getuid():  # before a byte of it is read
            return None
        connection.settimeout(10)
        length, streams, _, _ = socket.recv_fds(connection, LENGTH_BYTES, 3)
        try:
            theirs, arguments, environment = marshal.loads(_receive(connection, int.from_bytes(length)))
            if different := differences(theirs, self.identity):
                _say(f"refuses a step: not the server's {', '.join(different)}")
                return None
            connection.sendall(ACCEPTED)
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
            return self._fork(client) if word == GO else self._drop(client)
        os.kill(client.pid, word[0] if word else signal.SIGKILL)
        if not word:
            self.selector.unregister(client.connection)
        return None

    def _fork(self, client: Client) -> Client | None:
        """Returns the client in its new process, None in the server."""
        try:
            self._import_for(client)
            client.pid = os.fork()
        except Exception:  # no memory, half an edit: a cold step says it better
            self._answer(client, NOT_STARTED)
            return None
        if client.pid == 0:
            return client
        client.close_streams()
        client.pidfd = os.pidfd_open(client.pid)
        self._listen_to(client.pidfd, lambda: self._step_ended(client))
        return None

    def _import_for(self, client: Client) -> None:
        """What is behind a step that came before; an OSError if there must be no fork after that."""
        if not self.identity:  # not any more
            raise OSError
        started = time.monotonic()
        if not self.imports.for_step(client.arguments[1:]):
            return
        if reason := CHANGED if sources() != self.identity["sources"] else unfit():
            self.identity = None
            _say(f"cannot fork any more: {reason}")
            raise OSError
        _say(f"imported for {client.arguments[1]}: {time.monotonic() - started:.1f} s")

    def _step_ended(self, client: Client) -> None:
        code = os.waitstatus_to_exitcode(os.waitpid(client.pid, 0)[1])
        _say(f"step {client.pid} ended with {code}: {' '.join(client.arguments[1:])}")
        self.selector.unregister(client.pidfd)
        self._answer(client, code if code >= 0 else 128 - code)  # death by a signal, as a shell says it

    def _answer(self, client: Client, code: int) -> None:
        with contextlib.suppress(OSError):
            client.connection.sendall(code.to_bytes(CODE_BYTES))
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
