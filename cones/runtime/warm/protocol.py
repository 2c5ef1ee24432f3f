"""The protocol between a client and its warm server.

The client sends its request (the length in 8 bytes, with its streams as open files; then identity, arguments and
environment), the server ACCEPTED, the client GO. From then on the client runs the step itself only if it gets
NOT_STARTED: no step runs twice. It may send the numbers of signals, each a byte; the server sends the exit code. A
connection that ends before GO is a refusal; after GO the step has died.
"""

import socket
import sys

ACCEPTED, GO = b"\1", b"\0"
LENGTH_BYTES, CODE_BYTES = 8, 2
NOT_STARTED = 0xFFFF  # in the place of an exit code


def user_behind(connection: socket.socket) -> int:
    """The user id of the process at the other end: an abstract socket name has no permissions."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)  # pid, user, group
    return int.from_bytes(credentials[4:8], sys.byteorder)
