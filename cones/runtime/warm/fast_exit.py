"""The end of a process, without taking the interpreter apart."""

import atexit
import os
import sys
import threading


def fast_exit(code: object) -> None:
    """End this process as `sys.exit(code)` does, but leave its memory to the system; returns if that would not do.

    Freeing one by one what PyTorch has imported takes a step 0.3 to 1 s. Exit handlers run and streams are flushed;
    a message instead of a code, another thread or a stream that cannot be written are left to the interpreter.
    """
    if not isinstance(code, int | None) or threading.active_count() > 1:
        return
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        return
    os._exit((code or 0) & 0xFF)
