from __future__ import annotations

import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest

from reconcile_devcluster.api import ApiServer
from reconcile_devcluster.certificates import Pki, ensure_pki
from reconcile_devcluster.credentials import write_token_kubeconfig
from reconcile_devcluster.errors import ApiRequestError, DevclusterError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class _Server(HTTPServer):
    """Gives one answer, over TLS; remembers the authorization of the last request."""

    status = 200
    answer = b"ok"
    authorization = ""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        self.server.authorization = self.headers.get("Authorization", "")
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(self.server.answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class' name
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[_Server]:
    pki = Pki(tmp_path / "pki")
    ensure_pki(pki)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pki.server_certificate, pki.server_key)
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, name="API server")
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def api(server: _Server, tmp_path: Path) -> ApiServer:
    path = tmp_path / "kubeconfig"
    address = f"https://127.0.0.1:{server.server_address[1]}"
    ca_certificate = Pki(tmp_path / "pki").ca_certificate
    write_token_kubeconfig(path, server=address, ca_certificate=ca_certificate, user="alice", token="secret")
    return ApiServer.from_kubeconfig(path)


@pytest.mark.parametrize(
    ("status", "answer", "expected"),
    [
        (200, b"ok", True),
        (200, b"ok\n", True),
        (200, b"[+]ping ok\nreadyz check passed", False),
        (500, b"[+]ping ok\n[-]etcd failed\n[+]log ok", False),
        (500, b"ok", False),
        (401, b"{}", False),
    ],
)
def test_ready_means_exactly_ok(server: _Server, api: ApiServer, status: int, answer: bytes, expected: bool) -> None:
    server.status, server.answer = status, answer
    assert api.is_ready() is expected


def test_a_call_sends_the_token_and_returns_the_object(server: _Server, api: ApiServer) -> None:
    server.answer = json.dumps({"kind": "Pod"}).encode()
    assert api.call("GET", "/x") == {"kind": "Pod"}
    assert server.authorization == "Bearer secret"


@pytest.mark.parametrize(
    ("answer", "message"),
    [(b'{"kind": "Status", "message": "no such thing"}', "no such thing"), (b"plain text", "plain text")],
    ids=["status", "text"],
)
def test_an_error_status_is_raised_with_its_message(
    server: _Server, api: ApiServer, answer: bytes, message: str
) -> None:
    server.status, server.answer = 404, answer
    with pytest.raises(ApiRequestError, match=f"GET /x: status 404: {message}") as caught:
        api.call("GET", "/x")
    assert caught.value.status == 404


def test_no_answer_is_an_error_that_names_the_server(tmp_path: Path) -> None:
    ensure_pki(Pki(tmp_path))
    nowhere = ApiServer("127.0.0.1", 1, ssl.create_default_context(), None)
    with pytest.raises(DevclusterError, match=r"GET /x: no answer from https://127\.0\.0\.1:1"):
        nowhere.call("GET", "/x")
    assert not nowhere.is_ready()
