"""Why an exec, attach or port-forward was refused arrives as the API server said it, over WebSocket and SPDY."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import aiohttp
import pytest

from reconcile_devcluster.cluster import Cluster
from reconcile_runner.apimachinery.objects import GroupVersionKind, KubeObject, ObjectKey
from reconcile_runner.client import connect
from reconcile_runner.errors import ConflictError
from reconcile_runner.proxy import Owner
from tests.support.accounts import account
from tests.support.ansible_support import clean_environment, run_playbook
from tests.support.proxying import proxied

pytestmark = pytest.mark.timeout(120)

OWNER = Owner(GroupVersionKind("upgrades.test", "v1", "Owner"), ObjectKey("default", "owner"), "no-such-uid")
PODS = "/api/v1/namespaces/default/pods"

# RFC 6455, 4.1, as the kubernetes package says it; SPDY as older kubectl.
WEBSOCKET = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Protocol": "v4.channel.k8s.io",
}
SPDY = {"Connection": "Upgrade", "Upgrade": "SPDY/3.1", "X-Stream-Protocol-Version": "v4.channel.k8s.io"}
PROTOCOLS = {"websocket": ("GET", WEBSOCKET), "spdy": ("POST", SPDY)}


@dataclass(frozen=True)
class Refusal:
    """A request that the API server refuses, and as what."""

    path: str
    query: tuple[tuple[str, str], ...]
    status: int
    may_exec: bool = True

    @property
    def target(self) -> str:
        return f"{PODS}/{self.path}?{urlencode(self.query)}"


LS = (("command", "ls"), ("stdout", "true"))
REFUSALS = {
    "no such Pod": Refusal("nobody/exec", LS, 404),
    "no such container": Refusal("unscheduled/exec", (*LS, ("container", "other")), 400),
    "a Pod without a node": Refusal("unscheduled/exec", LS, 400),
    "no right to exec": Refusal("unscheduled/exec", LS, 403, may_exec=False),
    "attach to no such Pod": Refusal("nobody/attach", (("stdout", "true"),), 404),
    "attach without the right": Refusal("unscheduled/attach", (("stdout", "true"),), 403, may_exec=False),
    "port-forward to a Pod without a node": Refusal("unscheduled/portforward", (("ports", "80"),), 400),
    "no such subresource": Refusal("unscheduled/execute", LS, 404),
}


def pod() -> KubeObject:
    spec = {"containers": [{"name": "main", "image": "none"}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "unscheduled"}, "spec": spec}


async def answered(response: aiohttp.ClientResponse) -> tuple[int, str | None, str | None, bytes]:
    async with response:
        return response.status, response.reason, response.headers.get("Content-Type"), await response.read()


@pytest.mark.parametrize("protocol", list(PROTOCOLS))
@pytest.mark.parametrize("refusal", list(REFUSALS.values()), ids=list(REFUSALS))
async def test_a_refusal_is_the_api_servers(cluster: Cluster, tmp_path: Path, refusal: Refusal, protocol: str) -> None:
    method, headers = PROTOCOLS[protocol]
    async with await connect(cluster.kubeconfig) as admin:
        with contextlib.suppress(ConflictError):
            await admin.create(PODS, pod())
    limited = account(cluster, tmp_path, "may-not-exec", ())
    kubeconfig = cluster.kubeconfig if refusal.may_exec else limited.kubeconfig
    async with proxied(kubeconfig) as operating:
        expected = await answered(await operating.client.forward(method, refusal.target, headers, None))
        assert expected[0] == refusal.status
        with operating.run_for(OWNER) as run:
            sent = {**headers, "Authorization": f"Bearer {run.token}"}
            got = await answered(await run.session.request(method, run.url + refusal.target, headers=sent))
    assert got == expected


async def test_a_module_says_why_it_was_refused_as_it_does_without_the_proxy(cluster: Cluster, tmp_path: Path) -> None:
    """So it does with the pinned version of the client alone: some lose the reason, whoever they ask."""
    options = {"namespace": "default", "pod": "unscheduled", "container": "nobody", "command": "ls"}
    play = tmp_path / "exec.yml"
    tasks = [{"name": "Run", "kubernetes.core.k8s_exec": options}]
    play.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
    async with proxied(cluster.kubeconfig) as operating:
        with contextlib.suppress(ConflictError):
            await operating.client.create(PODS, pod())
        with operating.run_for(OWNER) as run:
            servers = {run.url: run.token, f"https://{cluster.api.host}:{cluster.api.port}": cluster.api.token or ""}
            for server, token in servers.items():
                access = {"K8S_AUTH_HOST": server, "K8S_AUTH_API_KEY": token, "K8S_AUTH_VERIFY_SSL": "no"}
                done = await asyncio.to_thread(run_playbook, play, clean_environment(tmp_path, **access))
                assert "container nobody is not valid for pod unscheduled" in done.stdout, done.stdout + done.stderr
