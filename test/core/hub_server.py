"""A Hugging Face Hub of one machine: as much of its HTTP as `huggingface_hub` needs to fill and read a repository."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "a" * 40


class Hub(ThreadingHTTPServer):
    """Whatever is uploaded is in `files`; `calls` are (method, path) of all requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.files: dict[str, bytes] = {}
        self.calls: list[tuple[str, str]] = []


class Answer(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.calls.append(("POST", self.path))
        answer: dict[str, object] = {}
        if self.path.endswith("/repos/create"):
            answer = {"url": f"{self.server.url}/owner/name"}
        elif "/preupload/" in self.path:  # everything within the commit itself, nothing as large files
            paths = [file["path"] for file in json.loads(body)["files"]]
            answer = {"files": [{"path": path, "uploadMode": "regular", "shouldIgnore": False} for path in paths]}
        elif "/commit/" in self.path:
            for entry in map(json.loads, body.splitlines()):
                if entry["key"] == "file":
                    self.server.files[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
            answer = {"commitUrl": f"{self.server.url}/owner/name/commit/{COMMIT}", "commitOid": COMMIT}
        self.send(200, json.dumps(answer).encode())

    def do_GET(self) -> None:
        self.server.calls.append((self.command, self.path))
        content = self.server.files.get(self.path.rpartition("/")[2])
        if content is None or not self.path.startswith("/owner/name/resolve/"):
            self.send(404, b"", {"X-Error-Code": "RepoNotFound"})
        else:
            self.send(200, content, {"ETag": hashlib.sha1(content).hexdigest(), "X-Repo-Commit": COMMIT})

    do_HEAD = do_GET

    def send(self, code: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in {**(headers or {}), "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


@contextmanager
def hub_server() -> Iterator[Hub]:
    """A server that answers until the block ends."""
    hub = Hub()
    thread = threading.Thread(target=hub.serve_forever)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        thread.join()
        hub.server_close()
