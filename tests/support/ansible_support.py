"""What tests of the role and the modules share: a proxy that remembers requests, and ways to run Ansible.

Nothing here knows what a test expects.
"""

from __future__ import annotations

import atexit
import functools
import http.client
import importlib
import json
import os
import runpy
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

from tests.support.paths import REPOSITORY
from tests.support.zygote import Zygote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reconcile_devcluster.cluster import Cluster


DEADLINE = 150.0
"""Seconds a run of Ansible may take: an answer that never comes ends a test, a slow machine does not."""

KubeObject = dict[str, Any]


def collection_paths() -> list[Path]:
    """Where collections are: the project's, the installed ones, and those that the environment names.

    Raises:
        FileNotFoundError: kubernetes.core is in none of them.

    """
    named = [Path(path) for path in os.environ.get("ANSIBLE_COLLECTIONS_PATH", "").split(":") if path]
    paths = [REPOSITORY / "collections", REPOSITORY / ".collections", *named]
    if not any((path / "ansible_collections/kubernetes/core/MANIFEST.json").exists() for path in paths):
        raise FileNotFoundError(f"kubernetes.core is in none of {', '.join(map(str, paths))}: run make first")
    return paths


def clean_environment(directory: Path, **variables: str) -> dict[str, str]:
    """Return an environment without any cluster or Ansible setting of the caller's, its files in `directory`."""
    foreign = ("ANSIBLE_", "K8S_AUTH_", "KUBE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    own = {
        "HOME": str(directory),
        "TMPDIR": str(directory),  # kubernetes.core keeps its discovery there
        "ANSIBLE_COLLECTIONS_PATH": ":".join(map(str, collection_paths())),
        "ANSIBLE_ROLES_PATH": str(REPOSITORY / "roles"),
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
        "ANSIBLE_NOCOLOR": "true",
    }
    return kept | own | variables


@dataclass(frozen=True, slots=True)
class SeenRequest:
    """A request that went through the proxy: its method, its path with query, decoded, and its Accept header."""

    method: str
    path: str
    accept: str
    body: KubeObject | None


@dataclass(slots=True)
class RecordingProxy:
    """Passes requests to a cluster, as its administrator, and remembers them.

    Attributes:
        url: Where to reach it.
        seen: The requests so far.
        interfere: Called with each request before it is passed on; an HTTP status it returns is the answer instead.

    """

    url: str = ""
    seen: list[SeenRequest] = field(default_factory=list)
    interfere: Callable[[SeenRequest], int | None] = lambda _: None

    @property
    def writes(self) -> list[SeenRequest]:
        """The requests that change something."""
        return [request for request in self.seen if request.method != "GET"]

    def of(self, kind: str) -> list[SeenRequest]:
        """Return the requests for objects of a kind, by its plural, without discovery."""
        return [request for request in self.seen if f"/{kind}" in request.path]

    def environment(self) -> dict[str, str]:
        """Variables that lead kubernetes.core here."""
        return {"K8S_AUTH_HOST": self.url, "K8S_AUTH_API_KEY": "the-proxy-has-its-own"}


@contextmanager
def recording_proxy(cluster: Cluster) -> Iterator[RecordingProxy]:
    """Run a proxy before the cluster for as long as the block lasts."""
    proxy = RecordingProxy()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            request = SeenRequest(
                self.command,
                unquote_plus(self.path),
                self.headers.get("Accept", ""),
                json.loads(body) if body else None,
            )
            proxy.seen.append(request)
            fault = proxy.interfere(request)
            if fault is None:
                status, content_type, answer = forward(cluster, self, body)
            else:
                status, content_type, answer = fault, "text/plain", b"fault"
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = pass_on  # noqa: N815 the names http.server looks for

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 its name in http.server
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    proxy.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, name="recording-proxy")
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def forward(cluster: Cluster, handler: BaseHTTPRequestHandler, body: bytes) -> tuple[int, str, bytes]:
    """Send a proxied request to the API server; return status, content type and body of its answer."""
    headers = {
        name: handler.headers[name] for name in ("Accept", "Content-Type", "User-Agent") if name in handler.headers
    }
    headers["Authorization"] = f"Bearer {cluster.api.token}"
    connection = http.client.HTTPSConnection(cluster.api.host, cluster.api.port, context=cluster.api.tls, timeout=30)
    try:
        connection.request(handler.command, handler.path, body or None, headers)
        answer = connection.getresponse()
        return answer.status, answer.headers.get("Content-Type", "text/plain"), answer.read()
    finally:
        connection.close()


MODULES = "ansible_collections.reconcile_runner.util.plugins.modules"


def import_for_modules() -> None:
    """Import what the project's modules import, which takes most of their time. Called in a zygote."""
    for module in ("ansible.module_utils.testing", f"{MODULES}.k8s_event", f"{MODULES}.k8s_status"):
        importlib.import_module(module)
    for name in [name for name in sys.modules if name.startswith(MODULES)]:
        del sys.modules[name]


def play_module(name: str, arguments: KubeObject) -> None:
    """Run a module as its own program. Called in a fork of a zygote."""
    from ansible.module_utils.testing import patch_module_args  # noqa: PLC0415 - not in the process of the tests

    with patch_module_args(arguments):
        runpy.run_module(f"{MODULES}.{name}", run_name="__main__", alter_sys=True)


@functools.cache
def _modules_zygote() -> Zygote:
    paths = os.pathsep.join(map(str, collection_paths()))
    return Zygote(f"{__name__}:{import_for_modules.__name__}", {**os.environ, "PYTHONPATH": paths})


def run_module(name: str, arguments: KubeObject, environment: dict[str, str]) -> KubeObject:
    """Run a module of the project's collection as Ansible does, but for the packing; return its result.

    Args:
        name: Such as `k8s_status`.
        arguments: Its options; `_ansible_check_mode` and `_ansible_diff` switch those modes on.
        environment: From `clean_environment`.

    """
    done = _modules_zygote().call(
        f"{__name__}:{play_module.__name__}", name, arguments,
        environment=environment, cwd=environment["HOME"], timeout=DEADLINE,
    )  # fmt: skip
    try:
        result: KubeObject = json.loads(done.stdout)
    except ValueError:
        raise AssertionError(f"the module gave no result: {done.stdout}\n{done.stderr}") from None
    return result


def import_command_line() -> None:
    """Import what `ansible-playbook` imports first. Called in a zygote."""
    importlib.import_module("ansible.cli.playbook")


def play(playbook: str, *options: str) -> None:
    """Be `ansible-playbook`. Called in a fork of a zygote."""
    sys.argv = ["ansible-playbook", playbook, *options]
    importlib.import_module("ansible.cli.playbook").main()


@functools.cache
def _playbooks_zygote() -> Zygote:
    home = tempfile.TemporaryDirectory()
    atexit.register(home.cleanup)
    return Zygote(f"{__name__}:{import_command_line.__name__}", clean_environment(Path(home.name)))


def run_playbook(playbook: Path, environment: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    """Run ansible-playbook of this virtual environment; the caller looks at the exit code.

    Its settings are those of `clean_environment`, whatever `environment` says of them.
    """
    return _playbooks_zygote().call(
        f"{__name__}:{play.__name__}", str(playbook), *options,
        environment=environment, cwd=environment["HOME"], timeout=DEADLINE,
    )  # fmt: skip
