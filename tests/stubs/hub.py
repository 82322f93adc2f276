"""A Hugging Face hub on the loopback interface, for one repository: what our commands ask of the real one."""

from __future__ import annotations

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMIT = "c" * 40
LARGE = ".safetensors"


class Hub(ThreadingHTTPServer):
    """Serves `files` as the newest revision of `repo`, a model or, where `kind` says so, a data set.

    Attributes:
        log: method, path and `Range` of every request.
        corrupt: this many answers for large files have a wrong byte.
        corrupt_names: files whose every answer has a wrong byte.
        stall: answers for large files stop after so many bytes, until the hub closes.
        stalled: set once one did.
    """

    def __init__(self, repo: str, files: dict[str, bytes], kind: Literal["models", "datasets"]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repo = repo
        self.kind = kind
        self.files = files
        self.log: list[tuple[str, str, str]] = []
        self.corrupt = 0
        self.corrupt_names: set[str] = set()
        self.stall: int | None = None
        self.stalled = threading.Event()
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        """What `HF_ENDPOINT` is to be."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def fetched(self) -> set[str]:
        """The names of files whose content was asked for."""
        return {
            path.rsplit("/", 1)[-1] for method, path, _ in self.log if method == "GET" and "/resolve/" in path
        }

    def info(self) -> dict[str, object]:
        """The answer about the repository."""
        siblings = [
            {"rfilename": name, "size": len(data), "blobId": _git(data)}
            | (
                {"lfs": {"sha256": _sha(data), "size": len(data), "pointerSize": 134}}
                if name.endswith(LARGE)
                else {}
            )
            for name, data in self.files.items()
        ]
        return {"id": self.repo, "sha": COMMIT, "siblings": siblings, "tags": [], "private": False}


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        return

    def _answer(self, *, body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.log.append((self.command, path, self.headers.get("Range", "")))
        if path.startswith(f"/api/{self.server.kind}/{self.server.repo}"):
            self._send(
                200, json.dumps(self.server.info()).encode(), {"Content-Type": "application/json"}, body=body
            )
            return
        folder = "" if self.server.kind == "models" else f"/{self.server.kind}"
        prefix = f"{folder}/{self.server.repo}/resolve/{COMMIT}/"
        name = path.removeprefix(prefix)
        if path.startswith(prefix) and name in self.server.files:
            self._file(name, body=body)
        else:
            self._send(404, b"", {"X-Error-Code": "RepoNotFound", "X-Error-Message": "no"}, body=body)

    def _file(self, name: str, *, body: bool) -> None:
        data = self.server.files[name]
        headers = {
            "ETag": f'"{_sha(data) if name.endswith(LARGE) else _git(data)}"',
            "X-Repo-Commit": COMMIT,
            "Accept-Ranges": "bytes",
            "X-Linked-Size": str(len(data)),
        }
        status, start = 200, 0
        wanted = self.headers.get("Range", "")
        if body and wanted.startswith("bytes="):
            start = int(wanted.removeprefix("bytes=").partition("-")[0])
            status = 206
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        if body and name.endswith(LARGE) and self.server.corrupt:
            self.server.corrupt -= 1
            data = _wrong(data)
        if body and name in self.server.corrupt_names:
            data = _wrong(data)
        self._send(status, data[start:], headers, body=body, large=name.endswith(LARGE))

    def _send(
        self, status: int, data: bytes, headers: dict[str, str], *, body: bool, large: bool = False
    ) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if not body:
            return
        if large and self.server.stall is not None:
            self.wfile.write(data[: self.server.stall])
            self.server.stalled.set()
            self.server.closing.wait()
            self.close_connection = True
            return
        self.wfile.write(data)


@contextmanager
def serving(
    repo: str, files: dict[str, bytes], kind: Literal["models", "datasets"] = "models"
) -> Iterator[Hub]:
    """A hub that runs while the block does."""
    hub = Hub(repo, files, kind)
    thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.closing.set()
        hub.shutdown()
        hub.server_close()
        thread.join()


def _wrong(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _git(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
