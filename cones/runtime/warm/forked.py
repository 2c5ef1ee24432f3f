"""A forked process becomes the step of a client: from the outside it is the process that the client would have been."""

import io
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence


def become(
    *, streams: Sequence[int], arguments: list[str], environment: dict[str, str], mask: set[signal.Signals]
) -> None:
    """Everything of this process that differs from a cold one; `mask` is that of the signals its parent blocked."""
    for target, stream in enumerate(streams):
        os.dup2(stream, target)
    sys.stdin = sys.__stdin__ = _stream(0, sys.stdin)
    sys.stdout = sys.__stdout__ = _stream(1, sys.stdout)
    sys.stderr = sys.__stderr__ = _stream(2, sys.stderr)
    sys.argv[:] = arguments
    os.environ.clear()
    os.environ.update(environment)
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
