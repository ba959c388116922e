"""What the API server accepts passes list, watch, cache and proxy; what no role can be given costs itself only."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from reconcile_devcluster.cluster import Cluster
from reconcile_runner.apimachinery.objects import ObjectKey
from reconcile_runner.apimachinery.rawjson import loads_in_parts
from reconcile_runner.client import connect
from reconcile_runner.proxy import Owner
from tests.support.operator_process import operator
from tests.support.proxying import Proxied, Run, proxied
from tests.support.watching import Kind, until

pytestmark = pytest.mark.timeout(120)

POISON, POISONED_RUN = Kind("Poison"), Kind("PoisonedRun")
OWNER = Owner(POISON.gvk, ObjectKey("default", "owner"), "no-such-uid")
ACCEPTED: Mapping[str, str] = {
    "plain": '{"name":"jack"}',
    "depth-120": '{"a":' * 120 + "1" + "}" * 120,
    "depth-300": '{"a":' * 300 + "1" + "}" * 300,
    "depth-1100": '{"a":' * 1_100 + "1" + "}" * 1_100,
    "depth-lists": '{"a":' + "[" * 9_000 + "]" * 9_000 + "}",
    "text": '{"a":"' + "x" * 1_400_000 + '"}',
    "keys": "{" + ",".join(f'"k{number}":{number}' for number in range(60_000)) + "}",
    "escapes": r'{"a":"\u0000\u2028\"\\\ud83d\ude00\ud800]}","":{"[{":"<>&\n"}}',
    "numbers": '{"a":[1.5,-0.0,9223372036854775807,-9223372036854775808,1e300]}',
}


def body(kind: Kind, name: str, spec: str) -> bytes:
    head = f'"apiVersion":"{kind.gvk.api_version}","kind":"{kind.name}","metadata":{{"name":"{name}"}}'
    return f'{{{head},"spec":{spec}}}'.encode()


async def ask(run: Run, method: str, path: str, sent: bytes | None = None, **headers: str) -> tuple[int, bool, Any]:
    """Return status, whether the cache answered, and the answer, which may be deeper than Python's JSON reads."""
    headers |= {"Authorization": f"Bearer {run.token}", "Content-Type": "application/json"}
    async with run.session.request(method, run.url + path, data=io.BytesIO(sent or b""), headers=headers) as answer:
        return answer.status, answer.headers.get("X-Cache") == "HIT", loads_in_parts(await answer.read())


async def compare(operating: Proxied, run: Run, path: str) -> Any:
    """Return what cache and API server agree on."""
    past = {"Cache-Control": "no-cache"}
    (_, is_cached, cached), (status, _, direct) = await ask(run, "GET", path), await ask(run, "GET", path, None, **past)
    assert (status, is_cached) == (200, True), path
    assert cached == direct, path
    return direct


@asynccontextmanager
async def reading(kubeconfig: Path, *, injects: bool) -> AsyncIterator[tuple[Proxied, Run]]:
    async with proxied(kubeconfig, whole=[POISON.gvk], injects=injects) as operating:
        with operating.run_for(OWNER) as run:
            yield operating, run


async def test_whatever_the_api_server_accepts_passes_list_watch_cache_and_proxy(kubeconfig: Path) -> None:
    async with await connect(kubeconfig) as client:
        await POISON.install(client)
    async with reading(kubeconfig, injects=False) as (operating, run):
        informer = operating.cache.required_informer(POISON.gvk)
        assert informer is not None
        for name, spec in ACCEPTED.items():
            status, _, answer = await ask(run, "POST", POISON.path(), body(POISON, name, spec))
            assert status == 201, (name, str(answer)[:300])
        await until(lambda: len(informer.keys()) == len(ACCEPTED), "the watch shows all of them")
        by_watch = {name: await compare(operating, run, f"{POISON.path()}/{name}") for name in ACCEPTED}
    # A second cache begins with a list in place of a watch.
    async with reading(kubeconfig, injects=True) as (operating, run):
        by_list = {name: await compare(operating, run, f"{POISON.path()}/{name}") for name in ACCEPTED}
        assert by_list == by_watch
        listed = f"{POISON.path()}?labelSelector=none"
        _, is_cached, cached = await ask(run, "GET", listed)
        _, _, direct = await ask(run, "GET", listed, None, **{"Cache-Control": "no-cache"})
        # Whatever is written anywhere in between moves the API server's place on.
        places = [int(one["metadata"].pop("resourceVersion")) for one in (cached, direct)]
        assert (is_cached, cached, places) == (True, direct, sorted(places))
        status, _, owned = await ask(run, "POST", POISON.path(), body(POISON, "owned", ACCEPTED["depth-1100"]))
        assert (status, owned["metadata"]["ownerReferences"][0]["uid"]) == (201, OWNER.uid)
        await operating.client.delete(POISON.path())


def test_an_object_that_no_role_can_be_given_gets_a_condition_and_the_others_run(
    cluster: Cluster, tmp_path: Path
) -> None:
    asyncio.run(_run_poisoned(cluster, tmp_path))


async def _run_poisoned(cluster: Cluster, directory: Path) -> None:
    tasks = directory / "role" / "tasks" / "main.yml"
    tasks.parent.mkdir(parents=True)
    tasks.write_text("- name: Say\n  ansible.builtin.debug:\n    msg: all is well\n")
    watches = directory / "watches.yaml"
    watches.write_text(
        f"- {{group: watching.test, version: v1, kind: {POISONED_RUN.name}, role: {directory / 'role'}}}\n"
    )

    async with await connect(cluster.kubeconfig) as client:

        async def has(name: str, condition: str) -> bool:
            status = (await client.get(f"{POISONED_RUN.path()}/{name}")).get("status") or {}
            return any(one["type"] == condition and one["status"] == "True" for one in status.get("conditions", ()))

        async def create(name: str, spec: str) -> None:
            answer = await client.forward(
                "POST", POISONED_RUN.path(), {"Content-Type": "application/json"}, body(POISONED_RUN, name, spec)
            )
            assert answer.status == 201, name
            answer.release()

        await POISONED_RUN.install(client)
        await create("deep-before", ACCEPTED["depth-1100"])
        with operator(cluster.kubeconfig, watches) as running:
            await until(lambda: has("deep-before", "Failure"), "the deep object has a Failure condition")
            for name in ("depth-300", "depth-lists", "depth-120"):
                await create(name, ACCEPTED[name])
                await until(lambda name=name: has(name, "Failure"), f"{name} has a Failure condition")  # type: ignore[misc]
            await create("after", ACCEPTED["plain"])
            await until(lambda: has("after", "Ready"), "an ordinary object is reconciled")
            assert "Traceback" not in running.text()
