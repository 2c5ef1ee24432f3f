"""Small imitations of the servers that datasets come from, on this machine."""

import base64
import contextlib
import http.server
import json
import re
import threading
import urllib.parse
from email.message import Message

QUOTA_PAGE = b"""<!DOCTYPE html><html><head><title>Google Drive - Quota exceeded</title></head><body><p>Sorry, you
can&#39;t view or download this file at this time.</p></body></html>"""
LOGIN_PAGE = b"""<!DOCTYPE html><html><head><title>Login</title></head><body><form method="post">
<input name="username"><input name="password" type="password"></form></body></html>"""


class Imitation(http.server.ThreadingHTTPServer):
    """`reply(request) -> (status, headers, body)` or None for 404; `requests` logs (path, headers) of what was asked.

    `breaks`: after how many bytes of the body the connection is closed, one entry for each answer that is to break.
    """

    daemon_threads = True

    def __init__(self, host="127.0.0.1"):
        super().__init__((host, 0), _Handler)
        self.requests: list[tuple[str, Message]] = []
        self.breaks: list[int] = []
        self.url = f"http://{host}:{self.server_port}"

    def reply(self, request):
        return None

    @contextlib.contextmanager
    def running(self):
        thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.shutdown()
            self.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        length = int(self.headers.get("Content-Length", 0))
        self.form = dict(urllib.parse.parse_qsl(self.rfile.read(length).decode()))
        self.server.requests.append((self.path, self.headers))
        status, headers, body = self.server.reply(self) or (404, {}, b"")
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if status == 200 and body and self.server.breaks:
            body = body[: self.server.breaks.pop(0)]
            self.close_connection = True
        with contextlib.suppress(OSError):
            self.wfile.write(body)

    do_POST = do_GET

    @property
    def query(self):
        return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))

    @property
    def cookies(self):
        return dict(re.findall(r"(\w+)=(\w+)", self.headers.get("Cookie", "")))

    def log_message(self, *arguments):
        pass

    def finish(self):
        with contextlib.suppress(OSError, ValueError):
            super().finish()


def ranged(request, body: bytes, etag='"v1"', **headers):
    """An answer that honours Range and If-Range, as object storages do."""
    headers = {"ETag": etag, "Accept-Ranges": "bytes", **headers}
    match = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
    if match and request.headers.get("If-Range", etag) == etag:
        start = int(match[1])
        if start >= len(body):
            return 416, {"Content-Range": f"bytes */{len(body)}"}, b""
        span = {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"}
        request.server.breaks and request.server.breaks.pop(0)
        return 206, {**headers, **span}, body[start:]
    return 200, headers, body


class Storage(Imitation):
    """Files by path, with resume. `etag` can be changed midway; `ignore_range` answers every request from the start."""

    def __init__(self, files, host="127.0.0.1"):
        super().__init__(host)
        self.files, self.etag, self.ignore_range, self.headers = files, '"v1"', False, {}

    def reply(self, request):
        body = self.files.get(urllib.parse.urlsplit(request.path).path)
        if body is None:
            return None
        if self.ignore_range:
            return 200, {"ETag": self.etag}, body
        return ranged(request, body, self.etag, **self.headers)


class Hub(Storage):
    """Hugging Face: /resolve/ redirects to a storage and states size and sha256; /tree/ and /blob/ are web pages."""

    def __init__(self, files, size, sha256):
        super().__init__({f"/storage{path}": body for path, body in files.items()})
        self.linked = {"X-Linked-Size": str(size), "X-Linked-ETag": f'"{sha256}"'}

    def reply(self, request):
        if "/resolve/" in request.path and not request.path.startswith("/storage"):
            path = urllib.parse.urlsplit(request.path).path
            return 302, {**self.linked, "Location": f"{self.url}/storage{path}"}, b""
        if request.path.startswith("/storage"):
            return super().reply(request)
        return 200, {}, b"<!doctype html><html><title>GLIPModel/GLIP</title></html>"


class ZenodoImitation(Storage):
    """A record's JSON and its files."""

    def __init__(self, record, name, body, checksum):
        super().__init__({f"/records/{record}/files/{name}": body})
        listing = {"files": [{"key": name, "size": len(body), "checksum": checksum}]}
        self.files[f"/api/records/{record}"] = json.dumps(listing).encode()


class Drive(Imitation):
    """`mode`: "confirm" (form and cookie first), "quota", "private" or "plain"."""

    def __init__(self, identifier, body, mode="confirm", name="cells.zip"):
        super().__init__()
        self.identifier, self.body, self.mode, self.name = identifier, body, mode, name

    def reply(self, request):
        path = urllib.parse.urlsplit(request.path).path
        if path == "/embeddedfolderview":
            return 200, {}, self._folder().encode()
        if path != "/download" or request.query.get("id") != self.identifier:
            return 404, {}, b"<html><title>Error 404 (Not Found)</title></html>"
        if self.mode == "quota":
            return 200, {"Content-Type": "text/html; charset=utf-8"}, QUOTA_PAGE
        if self.mode == "private":
            return 200, {}, b"<!DOCTYPE html><html><title>Google Drive: Sign-in</title>You need access</html>"
        confirmed = request.query.get("uuid") == "1a-2b" and request.cookies.get("download_warning") == "x7"
        if self.mode == "confirm" and not confirmed:
            return 200, {"Set-Cookie": "download_warning=x7"}, self._form().encode()
        return ranged(request, self.body)

    def _form(self):
        return f"""<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title></head><body>
<form id="download-form" action="{self.url}/download" method="get"><input type="submit" value="Download anyway"/>
<input type="hidden" name="id" value="{self.identifier}"><input type="hidden" name="export" value="download">
<input type="hidden" name="confirm" value="t"><input type="hidden" name="uuid" value="1a-2b"></form></body></html>"""

    def _folder(self):
        return f"""<html><div class="flip-entry" id="entry-{self.identifier}"><div class="flip-entry-info">
<a href="https://drive.google.com/file/d/{self.identifier}/view?usp=drive_web" target="_blank">
<div class="flip-entry-title">{self.name}</div></a></div></div></html>"""


class KaggleImitation(Imitation):
    """Basic or bearer authorisation, then a redirect to `storage`; `status` is what an accepted token gets instead."""

    def __init__(self, storage, status=302):
        super().__init__()
        self.storage, self.status = storage, status
        self.accepted = {"Basic " + base64.b64encode(b"ann:k3y-secret").decode(), "Bearer t0ken-secret"}

    def reply(self, request):
        if not re.fullmatch(r"/api/v1/datasets/download/ann/cells", request.path):
            return None
        if request.headers.get("Authorization") not in self.accepted:
            return 401, {}, b'{"code":401,"message":"Unauthenticated"}'
        if self.status != 302:
            return self.status, {}, b'{"message":"no"}'
        return 302, {"Location": f"{self.storage.url}/signed.zip?X-Goog-Signature=abc"}, b""


class CityscapesImitation(Imitation):
    """A login form with a cookie of its own, and packages for those who are logged in."""

    def __init__(self, packages, password="pa55-secret"):
        super().__init__()
        self.packages, self.password = packages, password

    def reply(self, request):
        path = urllib.parse.urlsplit(request.path).path
        if path == "/login/" and request.command == "GET":
            return 200, {"Set-Cookie": "form=f1"}, LOGIN_PAGE
        if path == "/login/":
            wanted = {"username": "ann", "password": self.password, "submit": "Login"}
            if request.form == wanted and request.cookies.get("form") == "f1":
                return 302, {"Set-Cookie": "session=s1; Path=/", "Location": "/downloads/"}, b""
            return 200, {}, LOGIN_PAGE
        if path == "/file-handling/":
            if request.cookies.get("session") != "s1":
                return 200, {}, LOGIN_PAGE
            body = self.packages.get(request.query.get("packageID"))
            return ranged(request, body) if body else None
        return None
