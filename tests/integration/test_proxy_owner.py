"""Whose a run's objects are, as the API server stores them: creates, server-side applies, replacements."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconcile_runner.apimachinery.objects import KubeObject
from reconcile_runner.errors import ConflictError
from reconcile_runner.proxy import Owner
from tests.support.proxying import CONFIG_MAPS, MERGE, Proxied, Run, owner_of, proxied
from tests.support.watching import Kind

pytestmark = pytest.mark.timeout(120)

PARENT, GLOBAL_PARENT = Kind("Parent"), Kind("GlobalParent")
_names = (f"it-{number}" for number in itertools.count())


@asynccontextmanager
async def operator(kubeconfig: Path, **settings: Any) -> AsyncIterator[Proxied]:
    async with proxied(kubeconfig, **settings) as operating:
        for kind, namespaced in ((PARENT, True), (GLOBAL_PARENT, False)):
            with contextlib.suppress(ConflictError):
                await kind.install(operating.client, namespaced=namespaced)
        yield operating


async def parent(operating: Proxied, kind: Kind = PARENT) -> Owner:
    path = kind.path("default" if kind is PARENT else "")
    return owner_of(await operating.client.create(path, kind.object(next(_names))))


def reference(owner: Owner) -> KubeObject:
    return {
        "apiVersion": owner.gvk.api_version,
        "kind": owner.gvk.kind,
        "name": owner.key.name,
        "uid": owner.uid,
    }


def config_map(name: str, **meta: object) -> KubeObject:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **meta}, "data": {"a": "1"}}


async def stored(operating: Proxied, path: str) -> dict[str, Any]:
    meta: dict[str, Any] = (await operating.client.get(path))["metadata"]
    return meta


MAPS = CONFIG_MAPS.format("default")


async def test_a_created_object_refers_to_its_owner(kubeconfig: Path) -> None:
    async with operator(kubeconfig) as operating:
        owner, name = await parent(operating), next(_names)
        with operating.run_for(owner) as run:
            answer = await run.post(MAPS, config_map(name))
            assert answer.status == 201
        assert (await stored(operating, f"{MAPS}/{name}"))["ownerReferences"] == [reference(owner)]


async def test_what_the_role_says_of_owners_stays(kubeconfig: Path) -> None:
    async with operator(kubeconfig) as operating:
        owner, other = await parent(operating), await parent(operating)
        mine, theirs = reference(owner) | {"blockOwnerDeletion": True}, reference(other) | {"controller": True}
        first, second = next(_names), next(_names)
        with operating.run_for(owner) as run:
            await run.post(MAPS, config_map(first, ownerReferences=[mine]))
            await run.post(MAPS, config_map(second, ownerReferences=[theirs]))
        assert (await stored(operating, f"{MAPS}/{first}"))["ownerReferences"] == [mine]
        assert (await stored(operating, f"{MAPS}/{second}"))["ownerReferences"] == [theirs, reference(owner)]


async def test_an_owner_out_of_reach_is_named_in_annotations(kubeconfig: Path) -> None:
    async with operator(kubeconfig) as operating:
        owner, name = await parent(operating), next(_names)
        await operating.client.create("/api/v1/namespaces", {"metadata": {"name": name}})
        expected = {
            "operator-sdk/primary-resource": f"default/{owner.key.name}",
            "operator-sdk/primary-resource-type": "Parent.watching.test",
        }
        roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
        with operating.run_for(owner) as run:
            await run.post(CONFIG_MAPS.format(name), config_map(name, annotations={"a": "b"}))
            await run.post(roles, {"metadata": {"name": name}, "rules": []})
        elsewhere = await stored(operating, f"{CONFIG_MAPS.format(name)}/{name}")
        assert elsewhere["annotations"] == {"a": "b", **expected}
        assert "ownerReferences" not in elsewhere
        assert (await stored(operating, f"{roles}/{name}"))["annotations"] == expected


async def test_a_cluster_scoped_owner_is_referred_to_from_anywhere(kubeconfig: Path) -> None:
    async with operator(kubeconfig) as operating:
        owner, name = await parent(operating, GLOBAL_PARENT), next(_names)
        roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
        with operating.run_for(owner) as run:
            await run.post(MAPS, config_map(name))
            await run.post(roles, {"metadata": {"name": name}, "rules": []})
        for path in (f"{MAPS}/{name}", f"{roles}/{name}"):
            assert (await stored(operating, path))["ownerReferences"] == [reference(owner)]


@pytest.mark.parametrize("as_yaml", [False, True], ids=["json", "yaml"])
async def test_a_server_side_apply_that_creates_gives_an_owner_which_later_applies_keep(
    kubeconfig: Path, as_yaml: bool
) -> None:
    async with operator(kubeconfig) as operating:
        owner, name = await parent(operating), next(_names)
        body: KubeObject | bytes = config_map(name)
        if as_yaml:
            body = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{a: '1', d: 22:22}}\n".encode()
        with operating.run_for(owner) as run:
            assert (await run.apply(f"{MAPS}/{name}", body)).status == 201
            assert (await run.apply(f"{MAPS}/{name}", body)).status == 200
        found = await operating.client.get(f"{MAPS}/{name}")
        assert found["metadata"]["ownerReferences"] == [reference(owner)]
        if as_yaml:
            assert found["data"] == {"a": "1", "d": "22:22"}


async def test_what_somebody_else_made_is_not_taken_by_an_apply(kubeconfig: Path) -> None:
    async with operator(kubeconfig) as operating:
        owner, name = await parent(operating), next(_names)
        await operating.client.create(MAPS, config_map(name))
        with operating.run_for(owner) as run:
            assert (await run.apply(f"{MAPS}/{name}", config_map(name))).status == 200
            await run.merge(f"{MAPS}/{name}", {"data": {"a": "2"}})
            await run.call("PUT", f"{MAPS}/{name}", config_map(name))
        assert "ownerReferences" not in await stored(operating, f"{MAPS}/{name}")


async def test_a_replacement_keeps_the_owner_unless_it_speaks_of_owners(kubeconfig: Path) -> None:
    async with operator(kubeconfig) as operating:
        owner, name = await parent(operating), next(_names)
        with operating.run_for(owner) as run:
            await run.post(MAPS, config_map(name))
            await run.call("PUT", f"{MAPS}/{name}", config_map(name, labels={"a": "b"}))
            kept = await stored(operating, f"{MAPS}/{name}")
            assert (kept["ownerReferences"], kept["labels"]) == ([reference(owner)], {"a": "b"})
            await run.call("PUT", f"{MAPS}/{name}", config_map(name, ownerReferences=[]))
        assert "ownerReferences" not in await stored(operating, f"{MAPS}/{name}")


RANGES = "/api/v1/namespaces/default/limitranges"
"""Objects of a kind that a PUT may create, too."""
APPLY_YAML, PROTOBUF = "application/apply-patch+yaml", "application/vnd.kubernetes.protobuf"


def encoded(number: int, *parts: bytes) -> bytes:
    """Return a field of a protobuf message that holds a string or a message of less than 16 KiB."""
    value = b"".join(parts)
    length = [len(value)] if len(value) < 128 else [len(value) % 128 + 128, len(value) // 128]
    return bytes([number * 8 + 2, *length]) + value


def in_protobuf(obj: KubeObject) -> bytes:
    """Return a LimitRange as clients in Go send it (apimachinery's and core's `generated.proto`)."""
    meta = obj["metadata"]
    fields = [encoded(1, meta["name"].encode())]
    for name, text in meta.get("annotations", {}).items():
        fields.append(encoded(12, encoded(1, name.encode()), encoded(2, text.encode())))
    for one in meta.get("ownerReferences", ()):
        numbers = {1: "kind", 3: "name", 4: "uid", 5: "apiVersion"}
        fields.append(encoded(13, *(encoded(number, one[name].encode()) for number, name in numbers.items())))
    (limit,) = obj["spec"]["limits"]
    quantity = encoded(2, encoded(1, b"cpu"), encoded(2, encoded(1, limit["max"]["cpu"].encode())))
    raw = encoded(1, *fields) + encoded(2, encoded(1, encoded(1, limit["type"].encode()), quantity))
    return b"k8s\x00" + encoded(1, encoded(1, b"v1"), encoded(2, b"LimitRange")) + encoded(2, raw)


ENCODINGS: dict[str, tuple[str, Callable[[KubeObject], bytes]]] = {
    "json": ("application/json", lambda obj: json.dumps(obj).encode()),
    "yaml": ("application/yaml", lambda obj: yaml.safe_dump(obj).encode()),
    "protobuf": (PROTOBUF, in_protobuf),
}
NOBODYS, OWN, FOREIGN = "nobody's", "own", "foreign"


def owners_afterwards(method: str, stored_as: str, sent: str) -> set[str]:
    """Return whose an object is after a write of a run.

    `stored_as`: whose it was; empty: it was not there. `sent`: whom the body names; empty: nobody.
    """
    before = {stored_as} if stored_as in (OWN, FOREIGN) else set()
    named = {sent} if sent else set()
    if method == "PUT" and sent:
        return named
    if stored_as in ("", OWN):
        return {OWN} | named
    return named | before if method == "PATCH" else named


@pytest.mark.parametrize("encoding", list(ENCODINGS))
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_whose_an_object_is_after_a_write_does_not_hang_on_its_encoding(
    kubeconfig: Path, method: str, encoding: str
) -> None:
    content_type, encode = ENCODINGS[encoding]
    async with operator(kubeconfig) as operating:
        owner, other = await parent(operating), await parent(operating)
        references = {OWN: reference(owner), FOREIGN: reference(other)}
        with operating.run_for(owner) as run:
            for stored_as in ("",) if method == "POST" else ("", NOBODYS, OWN, FOREIGN):
                for sent in ("", OWN, FOREIGN):
                    obj = limit_range(next(_names))
                    path = f"{RANGES}/{obj['metadata']['name']}"
                    if stored_as:
                        await operating.client.create(RANGES, named(obj, references.get(stored_as)))
                    body = encode(named(obj, references.get(sent)))
                    answer = await run.call(
                        method,
                        RANGES if method == "POST" else path,
                        body,
                        params={"fieldManager": "role", "force": "true"} if method == "PATCH" else {},
                        headers={
                            "Content-Type": APPLY_YAML
                            if method == "PATCH" and encoding != "protobuf"
                            else content_type,
                            "Accept": "application/vnd.kubernetes.protobuf, */*",
                        },
                    )
                    if (method, encoding) == ("PATCH", "protobuf"):
                        assert answer.status == 415, "no API server takes it"
                        continue
                    assert answer.status in (200, 201), answer.body
                    found = await operating.client.get(path)
                    uids = {name: one["uid"] for name, one in references.items()}
                    owners = {one["uid"] for one in found["metadata"].get("ownerReferences", ())}
                    wanted = {uids[name] for name in owners_afterwards(method, stored_as, sent)}
                    assert owners == wanted, (method, stored_as, sent)
                    assert found["metadata"]["annotations"] == {"a": "ü" * 100}
                    assert found["spec"]["limits"][0]["max"] == {"cpu": "8"}


def limit_range(name: str) -> KubeObject:
    spec = {"limits": [{"type": "Container", "max": {"cpu": "8"}}]}
    meta = {"name": name, "annotations": {"a": "ü" * 100}}
    return {"apiVersion": "v1", "kind": "LimitRange", "metadata": meta, "spec": spec}


def named(obj: KubeObject, owner: KubeObject | None) -> KubeObject:
    """Return an object with an owner in its body, or without."""
    return {**obj, "metadata": {**obj["metadata"], "ownerReferences": [owner]}} if owner else obj


@pytest.mark.parametrize("encoding", list(ENCODINGS))
@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_an_owner_out_of_reach_is_named_in_annotations_whatever_the_encoding(
    kubeconfig: Path, method: str, encoding: str
) -> None:
    content_type, encode = ENCODINGS[encoding]
    async with operator(kubeconfig) as operating:
        owner, obj = await parent(operating), limit_range(next(_names))
        namespace = next(_names)
        await operating.client.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
        ranges = f"/api/v1/namespaces/{namespace}/limitranges"
        path = f"{ranges}/{obj['metadata']['name']}"
        with operating.run_for(owner) as run:
            for _ in range(2 if method == "PUT" else 1):
                target = ranges if method == "POST" else path
                answer = await run.call(method, target, encode(obj), headers={"Content-Type": content_type})
                assert answer.status in (200, 201), answer.body
                meta = await stored(operating, path)
                assert meta["annotations"] == obj["metadata"]["annotations"] | {
                    "operator-sdk/primary-resource": f"default/{owner.key.name}",
                    "operator-sdk/primary-resource-type": "Parent.watching.test",
                }
                assert "ownerReferences" not in meta


async def test_an_encoding_that_cannot_be_read_creates_nothing(kubeconfig: Path) -> None:
    async with operator(kubeconfig) as operating:
        owner = await parent(operating)
        with operating.run_for(owner) as run:
            answer = await run.call("POST", MAPS, b"\xd9\xd9\xf7", headers={"Content-Type": "application/cbor"})
        assert (answer.status, answer.body["reason"]) == (415, "UnsupportedMediaType")


async def test_events_reviews_and_dry_runs_pass_as_they_are(kubeconfig: Path) -> None:
    async with operator(kubeconfig) as operating:
        owner, name = await parent(operating), next(_names)
        events = "/api/v1/namespaces/default/events"
        event = {
            "metadata": {"name": name},
            "involvedObject": {"namespace": "default"},
            "reason": "Changed",
            "type": "Normal",
        }
        review = {"spec": {"resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "default"}}}
        with operating.run_for(owner) as run:
            assert (await run.post(events, event)).status == 201
            reviewed = await run.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)
            assert (reviewed.status, reviewed.body["status"]["allowed"]) == (201, True)
            dry = await run.call("POST", MAPS, config_map(name), params={"dryRun": "All"})
            assert dry.body["metadata"]["ownerReferences"] == [reference(owner)]
        assert "ownerReferences" not in await stored(operating, f"{events}/{name}")


async def test_nothing_is_marked_where_that_is_turned_off(kubeconfig: Path) -> None:
    async with operator(kubeconfig, injects=False) as operating:
        owner, name = await parent(operating), next(_names)
        with operating.run_for(owner) as run:
            await run.post(MAPS, config_map(name))
            await run.apply(f"{MAPS}/{name}-2", config_map(f"{name}-2"))
        for stored_name in (name, f"{name}-2"):
            assert "ownerReferences" not in await stored(operating, f"{MAPS}/{stored_name}")


async def test_errors_arrive_as_the_api_server_words_them(kubeconfig: Path) -> None:
    async with operator(kubeconfig) as operating:
        owner, name = await parent(operating), next(_names)
        with operating.run_for(owner) as run:
            await run.post(MAPS, config_map(name))
            assert (await run.post(MAPS, config_map(name))).body["reason"] == "AlreadyExists"
            assert (await run.post(MAPS, {"metadata": []})).status == 400
            assert (await run.call("POST", MAPS, b"{broken")).status == 400
            assert (await run.post("/apis/no.such/v1/things", {})).status == 404
            unsupported = await run.call("PATCH", f"{MAPS}/{name}", b"x", headers={"Content-Type": MERGE})
            assert unsupported.status == 400


async def test_a_run_cannot_mark_objects_in_the_name_of_another(kubeconfig: Path) -> None:
    async with operator(kubeconfig) as operating:
        first, second = await parent(operating), await parent(operating)
        names = [next(_names), next(_names)]
        with operating.run_for(first) as one, operating.run_for(second) as two:
            runs: list[tuple[Run, str]] = [(one, names[0]), (two, names[1])]
            for run, name in runs:
                await run.post(MAPS, config_map(name))
        for owner, name in zip((first, second), names, strict=True):
            assert (await stored(operating, f"{MAPS}/{name}"))["ownerReferences"] == [reference(owner)]
