"""Fixtures: a mirror folder, a local web server with faults, the real BCCD where it is present."""

import contextlib
import http.server
import os
import threading
from pathlib import Path

import pytest

from tests.data.made_up import write_tree


@pytest.fixture
def mirror(tmp_path):
    """`put(files)` lays an unpacked tree into the mirror; the mirror's folder is its attribute `path`."""

    class Mirror:
        path = tmp_path / "mirror"

        def put(self, files):
            return write_tree(self.path / "cells", files)

        def put_archive(self, content, name="cells.zip"):
            return write_tree(self.path / "cells", {name: content})

    return Mirror()


@pytest.fixture
def server():
    """A web server on this machine. `server.answers[path]` is a list of answers, the last one repeated."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            handler = self.server
            handler.asked.append(self.path)
            queue = handler.answers.get(self.path, [(404, b"")])
            status, body, *fault = queue.pop(0) if len(queue) > 1 else queue[0]
            if fault == ["reset"]:
                self.connection.close()
                return
            self.send_response(status)
            self.send_header("Content-Length", str(len(body) + (1000 if fault == ["truncated"] else 0)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

        def finish(self):
            with contextlib.suppress(OSError, ValueError):  # the connection that a test wanted reset
                super().finish()

    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    web.answers, web.asked = {}, []
    web.url = f"http://127.0.0.1:{web.server_port}"
    thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield web
    web.shutdown()
    web.server_close()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def real_bccd_mirror() -> Path:
    """A mirror that holds the real BCCD: $CONES_TEST_BCCD, or shared/data beside the checkout."""
    beside = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    root = Path(os.environ.get("CONES_TEST_BCCD", beside))
    if not (root / "bccd" / "BCCD" / "Annotations").is_dir():
        pytest.skip("the real BCCD is not here: set CONES_TEST_BCCD to a mirror folder that holds bccd/BCCD")
    return root
