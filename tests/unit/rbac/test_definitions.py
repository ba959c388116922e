"""Which objects a task is about, however it says so."""

from __future__ import annotations

from typing import Any

import pytest

from reconcile_runner.apimachinery.objects import GroupVersionKind
from reconcile_runner.rbac.definitions import DescribedObject, UnknownKindError, described_objects
from tests.unit.rbac.roles import Workplace

CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "n"}}
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata:
  labels: {name: no}
  name: {{ name }}
spec:
  template:
    kind: Nested
"""


def objects(workplace: Workplace, args: dict[str, Any], **variables: object) -> list[str]:
    """Return ``apiVersion kind name`` of the objects of a task."""
    return [
        f"{obj.gvk.api_version} {obj.gvk.kind} {obj.literal_name}".strip()
        for obj in describe(workplace, args, **variables)
    ]


def describe(workplace: Workplace, args: dict[str, Any], **variables: object) -> list[DescribedObject]:
    [call] = workplace.calls([{"k8s": args}], **variables)
    return described_objects(call)


ARGUMENTS: list[tuple[dict[str, Any], list[str]]] = [
    ({"kind": "Pod", "name": "a"}, ["v1 Pod a"]),
    ({"api": "apps/v1", "kind": "Deployment"}, ["apps/v1 Deployment"]),
    ({"version": "v1", "kind": "Pod", "name": "{{ x }}"}, ["v1 Pod"]),
    ({"definition": CONFIG_MAP}, ["v1 ConfigMap a"]),
    ({"resource_definition": CONFIG_MAP}, ["v1 ConfigMap a"]),
    ({"inline": CONFIG_MAP}, ["v1 ConfigMap a"]),
    ({"definition": [CONFIG_MAP, {"apiVersion": "v1", "kind": "Pod"}]}, ["v1 ConfigMap a", "v1 Pod"]),
    ({"kind": "Pod", "api_version": "v1", "name": "b", "definition": {"spec": {}}}, ["v1 Pod b"]),
    ({"name": "b", "definition": CONFIG_MAP}, ["v1 ConfigMap a"]),
    ({"definition": "{{ known }}"}, ["v1 ConfigMap a"]),
    ({"definition": "kind: Pod\napiVersion: v1\n---\nkind: Job\napiVersion: batch/v1\n"}, ["v1 Pod", "batch/v1 Job"]),
    ({"definition": "kind: Pod\napiVersion: v1\nmetadata: {name: '{{ x }}'}\n"}, ["v1 Pod"]),
    (
        {"definition": {"kind": "ConfigMapList", "apiVersion": "v1", "items": [{"metadata": {"name": "x"}}]}},
        ["v1 ConfigMap x"],
    ),
    ({"definition": {"kind": "List", "apiVersion": "v1", "items": [CONFIG_MAP]}}, ["v1 ConfigMap a"]),
    ({"append_hash": True, "definition": CONFIG_MAP}, ["v1 ConfigMap"]),
    ({"kind": "{{ unknown | default('Job') }}", "api_version": "batch/v1"}, ["batch/v1 Job"]),
]


@pytest.mark.parametrize(("args", "expected"), ARGUMENTS, ids=[str(args) for args, _ in ARGUMENTS])
def test_arguments_say_which_objects_a_task_is_about(
    workplace: Workplace, args: dict[str, Any], expected: list[str]
) -> None:
    assert objects(workplace, args, known=CONFIG_MAP) == expected


FILES: list[tuple[dict[str, Any], list[str]]] = [
    ({"template": "one.yml.j2"}, ["apps/v1 Deployment"]),
    ({"template": {"path": "one.yml.j2", "trim_blocks": True}}, ["apps/v1 Deployment"]),
    (
        {"template": ["one.yml.j2", {"path": "cases.yml.j2"}]},
        ["apps/v1 Deployment", "apps/v1 Deployment", "apps/v1 StatefulSet"],
    ),
    ({"template": "{{ which }}.yml.j2"}, ["v1 Pod"]),
    ({"template": "{{ any }}e.yml.j2"}, ["apps/v1 Deployment"]),
    ({"template": "list.yml.j2"}, ["v1 Secret", "v1 Service"]),
    ({"src": "plain.yml"}, ["v1 Pod named"]),
    ({"definition": "{{ lookup('template', 'one.yml.j2') | from_yaml }}"}, ["apps/v1 Deployment"]),
    ({"definition": "{{ lookup('ansible.builtin.template', 'one.yml.j2') }}"}, ["apps/v1 Deployment"]),
    ({"definition": "{{ query('file', 'plain.yml') | first | from_yaml }}"}, ["v1 Pod named"]),
    ({"definition": "{{ lookup('template', which ~ '.yml.j2') | from_yaml_all | list }}"}, ["v1 Pod"]),
    (
        {"definition": ["{{ lookup('template', which + '.yml.j2') | from_yaml }}", CONFIG_MAP]},
        ["v1 Pod", "v1 ConfigMap a"],
    ),
]


@pytest.mark.parametrize(("args", "expected"), FILES, ids=[str(args) for args, _ in FILES])
def test_files_are_read_by_their_lines_and_not_rendered(
    workplace: Workplace, args: dict[str, Any], expected: list[str]
) -> None:
    templates = "roles/it/templates"
    workplace.write(f"{templates}/one.yml.j2", DEPLOYMENT)
    workplace.write(f"{templates}/pod.yml.j2", "{# a Pod #}\nkind: Pod\napiVersion: 'v1'\nmetadata: {{ meta }}\n")
    cases = "apiVersion: apps/v1\n{% if big %}\nkind: StatefulSet  # big\n{% else %}\nkind: Deployment\n{% endif %}\n"
    workplace.write(f"{templates}/cases.yml.j2", cases)
    items = "\n".join(
        f"  - apiVersion: v1\n    kind: {kind}\n    metadata: {{{{ m }}}}" for kind in ("Service", "Secret")
    )
    workplace.write(f"{templates}/list.yml.j2", f"apiVersion: v1\nkind: List\nitems:\n{items}\n")
    workplace.write("roles/it/files/plain.yml", {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "named"}})
    assert sorted(objects(workplace, args, which="pod")) == sorted(expected)


UNKNOWN: list[tuple[dict[str, Any], str]] = [
    ({"kind": "{{ kind }}"}, "found kind '{{ kind }}', expected one that is known without a run"),
    ({"definition": {"kind": "Pod", "apiVersion": "{{ v }}"}}, "found apiVersion '{{ v }}'"),
    ({"name": "x"}, "found kind '', expected one"),
    ({"definition": "{{ made_up }}"}, "found '{{ made_up }}', expected lines with kind and apiVersion"),
    ({"template": "none.j2"}, "found the file 'none.j2', expected one that can be read"),
    ({"src": "https://example.com/all.yml"}, "found the file 'https://example.com/all.yml'"),
    ({"definition": "{{ lookup('template', item) }}"}, "found the file '{{ item }}'"),
    ({"definition": "no yaml: ["}, "found no YAML"),
    ({"definition": "just words"}, "found 'just words', expected an object"),
    ({"definition": 7}, "found the definition 7, expected an object"),
    (
        {"definition": "{{ a }}\nkind: A\nkind: B\nkind: C\napiVersion: v1\napiVersion: v2\n"},
        "found 3 lines with kind and 2",
    ),
]


@pytest.mark.parametrize(("args", "message"), UNKNOWN, ids=[str(args) for args, _ in UNKNOWN])
def test_what_cannot_be_known_is_said(workplace: Workplace, args: dict[str, Any], message: str) -> None:
    with pytest.raises(UnknownKindError) as raised:
        describe(workplace, args)
    assert message in str(raised.value)


def test_owners_that_are_kept_from_going_are_found(workplace: Workplace) -> None:
    references = [
        {"apiVersion": "example.com/v1", "kind": "Thing", "blockOwnerDeletion": True},
        {"apiVersion": "v1", "kind": "Pod", "blockOwnerDeletion": False},
        {"apiVersion": "{{ v }}", "kind": "{{ k }}", "blockOwnerDeletion": True},
    ]
    [found] = describe(workplace, {"definition": {**CONFIG_MAP, "metadata": {"ownerReferences": references}}})
    assert found.blocked_owners == (GroupVersionKind("example.com", "v1", "Thing"), GroupVersionKind("", "", ""))
    references_as_text = "  ownerReferences:\n    - kind: {{ k }}\n      blockOwnerDeletion: true\n"
    text = f"kind: Pod\napiVersion: v1\nmetadata:\n{references_as_text}"
    [found] = describe(workplace, {"definition": text})
    assert found.blocked_owners == (GroupVersionKind("", "", ""),)
