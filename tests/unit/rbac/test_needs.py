"""What a watch needs, and what follows from what its role does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reconcile_runner.apimachinery.fieldpath import FieldPath
from reconcile_runner.apimachinery.objects import GroupVersionKind
from reconcile_runner.cache.event import EventType
from reconcile_runner.rbac import needs_of_election, rules_of
from reconcile_runner.watches.watch import Finalizer, Match, Trigger, Watch
from tests.unit.rbac.roles import REALM, THING, Rights, Workplace, rights_of

READ = {"get", "list", "watch"}
EVENTS = {"create", "patch"}
BY_NAME = Match(FieldPath("metadata.name"), FieldPath("spec.name"))
POD, SECRET = GroupVersionKind("", "v1", "Pod"), GroupVersionKind("", "v1", "Secret")

MAKES_CONFIG_MAP = [{"k8s": {"kind": "ConfigMap", "name": "{{ n }}"}}]
MAKES_NAMESPACE = [{"k8s": {"kind": "Namespace", "name": "{{ n }}"}}]
MAKES_SECRET = [{"k8s": {"kind": "Secret", "name": "{{ n }}"}}]


def thing_with(things: set[str], **more: set[str]) -> Rights:
    return {"events": EVENTS, "things.example.com": things, **more}


STATUS = {"things/status.example.com": {"patch"}}

OWN: list[tuple[dict[str, Any], Rights]] = [
    ({}, thing_with(READ) | STATUS),
    ({"manage_status": False}, thing_with(READ)),
    ({"finalizer": Finalizer("example.com/x")}, thing_with(READ | {"patch"}) | STATUS),
    (
        {"triggers": (Trigger(POD, BY_NAME, frozenset({EventType.DELETED})),)},
        thing_with(READ, pods={"list", "watch"}) | STATUS,
    ),
]


@pytest.mark.parametrize(("fields", "rights"), OWN, ids=["plain", "no status", "finalizer", "trigger"])
def test_the_operator_needs_no_more_than_its_own_requests(
    workplace: Workplace, fields: dict[str, Any], rights: Rights
) -> None:
    assert workplace.rights(Watch(THING, role=workplace.role([]), **fields)) == rights


def test_the_status_of_a_kind_without_that_subresource_is_a_patch_of_the_object(workplace: Workplace) -> None:
    rights = workplace.rights(Watch(REALM, role=workplace.role([])))
    assert rights == {"events": EVENTS, "realms.example.com": READ | {"patch"}}


DEPENDENTS: list[tuple[list[Any], dict[str, Any], str, bool]] = [
    (MAKES_CONFIG_MAP, {}, "configmaps", True),
    (MAKES_CONFIG_MAP, {"watch_dependent_resources": False}, "configmaps", False),
    (MAKES_CONFIG_MAP, {"blacklist": frozenset({GroupVersionKind("", "v1", "ConfigMap")})}, "configmaps", False),
    (MAKES_NAMESPACE, {}, "namespaces", False),
    (MAKES_NAMESPACE, {"watch_cluster_scoped_resources": True}, "namespaces", True),
    (MAKES_SECRET, {}, "secrets", False),
    (MAKES_SECRET, {"triggers": (Trigger(SECRET, BY_NAME),)}, "secrets", True),
]


@pytest.mark.parametrize(
    ("tasks", "fields", "resource", "watched"),
    DEPENDENTS,
    ids=[
        "default",
        "off",
        "blacklist",
        "cluster-scoped",
        "cluster-scoped on",
        "secret",
        "secret that is watched anyway",
    ],
)
def test_dependents_that_are_to_be_heard_of_are_listed_and_watched(
    workplace: Workplace, tasks: list[Any], fields: dict[str, Any], resource: str, *, watched: bool
) -> None:
    verbs = workplace.rights(Watch(THING, role=workplace.role(tasks), **fields))[resource]
    assert verbs == {"create", "get", "patch"} | ({"list", "watch"} if watched else set())


def test_dependents_of_an_owner_without_namespace_refer_to_it_and_are_watched(workplace: Workplace) -> None:
    rights = workplace.rights(Watch(REALM, role=workplace.role(MAKES_NAMESPACE)))
    assert rights["namespaces"] == {"create", "get", "list", "patch", "watch"}


def test_secrets_that_are_made_are_no_reason_to_read_all_of_them_and_that_is_said_once(workplace: Workplace) -> None:
    watch = Watch(THING, role=workplace.role(MAKES_SECRET), finalizer=Finalizer("example.com/x"))
    workplace.rights(watch)
    [line] = workplace.unknowns.lines
    assert line.startswith("roles/it/tasks/main.yml: task 1: makes a Secret")
    workplace.unknowns.lines.clear()
    workplace.rights(Watch(THING, role=watch.role, blacklist=frozenset({SECRET})))
    assert workplace.unknowns.lines == []


def test_a_watch_of_secrets_is_the_right_to_read_them(workplace: Workplace) -> None:
    rights = workplace.rights(Watch(SECRET, role=workplace.role(MAKES_SECRET), manage_status=False))
    assert rights["secrets"] == READ | {"create", "patch"}
    assert workplace.unknowns.lines == []


def test_a_reference_that_keeps_the_owner_from_going_is_an_update_of_its_finalizers(workplace: Workplace) -> None:
    reference = {"apiVersion": "example.com/v1", "kind": "Thing", "name": "{{ n }}", "blockOwnerDeletion": True}
    definition = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"ownerReferences": [reference]}}
    assert workplace.rights_of_tasks([{"k8s": {"definition": definition}}])["things/finalizers.example.com"] == {
        "update"
    }
    reference |= {"kind": "{{ k }}"}
    assert workplace.rights_of_tasks([{"k8s": {"definition": definition}}])["things/finalizers.example.com"] == {
        "update"
    }


def test_a_finalizers_role_is_read_with_its_variables(workplace: Workplace) -> None:
    tasks = [{"k8s": {"state": "{{ wanted }}", "kind": "ConfigMap", "name": "a"}}]
    finalizer = Finalizer("example.com/x", vars={"wanted": "absent"})
    watch = Watch(THING, role=workplace.role(tasks), vars={"wanted": "patched"}, finalizer=finalizer)
    assert workplace.rights(watch)["configmaps[a]"] == {"get", "patch", "delete"}
    other = workplace.role([{"k8s_info": {"kind": "Pod", "name": "b"}}], "other")
    watch = Watch(THING, role=watch.role, vars=watch.vars, finalizer=Finalizer("example.com/x", role=other))
    assert workplace.rights(watch)["configmaps[a]"] == {"get", "patch"}
    assert workplace.rights(watch)["pods[b]"] == {"get"}


def test_playbooks_are_read(workplace: Workplace) -> None:
    play = [{"hosts": "localhost", "tasks": [{"k8s_info": {"kind": "Pod", "name": "a"}}]}]
    assert workplace.rights(Watch(THING, playbook=workplace.write("p.yml", play)))["pods[a]"] == {"get"}


@pytest.mark.parametrize(
    "file", ["tasks/main.yml", "vars/main.yml", "defaults/main.yml", "templates/deep/page.html.j2"]
)
def test_lookups_are_found_in_all_files_of_a_role(workplace: Workplace, file: str) -> None:
    role = workplace.role([])
    workplace.write(f"roles/it/{file}", "a: \"{{ lookup('kubernetes.core.k8s', kind='Node') }}\"\n")
    workplace.write("roles/it/templates/binary", "")
    (workplace.directory / "roles/it/templates/binary").write_bytes(b"\xff\xfe\x00")
    assert workplace.rights(Watch(THING, role=role))["nodes"] == {"list"}
    assert workplace.unknowns.lines == []


def test_lookups_are_found_in_the_variables_of_a_watch(workplace: Workplace) -> None:
    watch = Watch(THING, role=workplace.role([]), vars={"a": "{{ query('k8s', kind='Node') }}", "b": 1})
    assert workplace.rights(watch)["nodes"] == {"list"}


def test_a_lease_is_made_and_only_that_of_the_name_is_read_and_renewed() -> None:
    assert rights_of(rules_of(needs_of_election("it"))) == {
        "leases.coordination.k8s.io": {"create"},
        "leases.coordination.k8s.io[it]": {"get", "update", "watch"},
    }


def test_a_watch_without_files_is_never_asked_for_more(tmp_path: Path, workplace: Workplace) -> None:
    assert workplace.rights(Watch(THING, role=tmp_path / "gone")) == thing_with(READ) | STATUS
