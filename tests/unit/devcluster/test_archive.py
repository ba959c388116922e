from __future__ import annotations

import hashlib
import io
import tarfile
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from reconcile_devcluster.binaries import archive
from reconcile_devcluster.binaries.pins import Archive
from reconcile_devcluster.errors import BinariesUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMES = ("etcd", "kube-apiserver")


def _tarball(names: tuple[str, ...] = NAMES) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as content:
        for name in names:
            data = f"content of {name}".encode()
            member = tarfile.TarInfo(f"controller-tools/envtest/{name}")
            member.size = len(data)
            content.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


class _Server(ThreadingHTTPServer):
    """Serves one body; stalls after `stall_after` bytes until `released`, if that is set."""

    daemon_threads = True

    def __init__(self, body: bytes, status: int = 200, stall_after: int | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.body = body
        self.status = status
        self.stall_after = stall_after
        self.requests = 0
        self.released = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/envtest.tar.gz"


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        self.server.requests += 1
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        if self.server.stall_after is None:
            self.wfile.write(self.server.body)
            return
        self.wfile.write(self.server.body[: self.server.stall_after])
        self.wfile.flush()
        self.server.released.wait(30)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class' name
        pass


@contextmanager
def _serving(server: _Server) -> Iterator[_Server]:
    thread = threading.Thread(target=server.serve_forever, name="archive server")
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


def _archive(server: _Server, body: bytes) -> Archive:
    return Archive(url=server.url, sha512=hashlib.sha512(body).hexdigest(), name="envtest-v0")


def test_a_good_archive_is_unpacked_into_the_cache_as_executables() -> None:
    body = _tarball()
    with _serving(_Server(body)) as server:
        found = archive.fetch(_archive(server, body), NAMES)
    for name in NAMES:
        assert found[name].read_text() == f"content of {name}"
        assert found[name].stat().st_mode & 0o111
    entry = archive.cache_entry(_archive(server, body))
    assert sorted(path.name for path in entry.iterdir()) == [".lock", *NAMES]


def test_a_second_fetch_asks_nobody() -> None:
    body = _tarball()
    with _serving(_Server(body)) as server:
        published = _archive(server, body)
        archive.fetch(published, NAMES)
        archive.fetch(published, NAMES)
        assert server.requests == 1


def test_another_digest_is_refused_and_leaves_nothing() -> None:
    body = _tarball()
    with _serving(_Server(body)) as server:
        published = _archive(server, b"something else")
        with pytest.raises(BinariesUnavailableError, match="not the pinned one"):
            archive.fetch(published, NAMES)
    assert [path.name for path in archive.cache_entry(published).iterdir()] == [".lock"]


@pytest.mark.parametrize("stall_after", [0, 40], ids=["before the first byte", "in the middle"])
def test_a_stalled_download_is_given_up_at_the_deadline(stall_after: int) -> None:
    body = _tarball()
    with _serving(_Server(body, stall_after=stall_after)) as server:
        published = _archive(server, body)
        with pytest.raises(BinariesUnavailableError, match=r"not here within|timed out"):
            archive.fetch(published, NAMES, deadline=0.3)
        assert server.requests == 1
    assert [path.name for path in archive.cache_entry(published).iterdir()] == [".lock"]


def test_the_deadline_is_ten_seconds_by_default() -> None:
    assert archive.DEADLINE == 10.0


def test_an_error_status_is_reported_with_the_address() -> None:
    with _serving(_Server(b"", status=404)) as server:
        with pytest.raises(BinariesUnavailableError, match="404") as caught:
            archive.fetch(_archive(server, b""), NAMES)
        assert server.url in str(caught.value)


def test_a_server_that_is_not_there_is_reported() -> None:
    server = _Server(b"")
    server.server_close()
    with pytest.raises(BinariesUnavailableError, match="cannot be downloaded"):
        archive.fetch(_archive(server, b""), NAMES)


def test_an_archive_without_a_program_is_refused() -> None:
    body = _tarball(("etcd",))
    with _serving(_Server(body)) as server, pytest.raises(BinariesUnavailableError, match="holds no kube-apiserver"):
        archive.fetch(_archive(server, body), NAMES)
