"""Why an exec, attach or port-forward was refused arrives as the API server said it, over WebSocket and SPDY."""

from __future__ import annotations

import contextlib
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
