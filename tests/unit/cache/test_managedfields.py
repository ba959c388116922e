"""Who manages which field: it comes out as it went in, and costs a small part of what it is."""

from __future__ import annotations

import itertools
from typing import Any

import orjson
import pytest

from reconcile_runner.apimachinery.objects import ObjectKey
from reconcile_runner.cache.managedfields import ManagedFields

NAMES = ("kubectl-create", "kubelet", "kube-controller-manager", "ansible-reconcile-runner", "helm", "argocd")


def entry(manager: str, number: int) -> dict[str, Any]:
    """Return what one manager has, as the API server says it; the time and an address are each object's own."""
    conditions: dict[str, Any] = {
        f'k:{{"type":"{name}"}}': {".": {}, "f:status": {}, "f:type": {}} for name in ("Ready", manager)
    }
    return {
        "manager": manager,
        "operation": "Update",
        "apiVersion": "v1",
        "time": f"2026-01-02T03:{number // 60 % 60:02}:{number % 60:02}Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": {
            "f:metadata": {"f:labels": {".": {}, f"f:{manager}": {}}},
            "f:status": {
                "f:conditions": conditions,
                "f:podIPs": {f'k:{{"ip":"10.0.{number // 256}.{number % 256}"}}': {}},
            },
        },
    }


def key(number: int) -> ObjectKey:
    return ObjectKey("ns", f"o-{number}")


def test_what_goes_in_comes_out_also_after_the_dictionary_grew() -> None:
    kept, fields = ManagedFields(), {}
    for number in range(200):
        managers = itertools.islice(itertools.cycle(NAMES), number % len(NAMES), number % len(NAMES) + 1 + number % 3)
        fields[key(number)] = [entry(manager, number) for manager in managers]
        kept.put(key(number), fields[key(number)])
    for one, wanted in fields.items():
        assert orjson.loads(kept.json_of(one) or b"") == wanted


@pytest.mark.parametrize(
    "fields", [[], [{}], [{"manager": "ü" * 1000}], [{"fieldsV1": {"f:x": {str(n): {} for n in range(9000)}}}]]
)
def test_whatever_it_is(fields: list[Any]) -> None:
    kept = ManagedFields()
    kept.put(key(1), fields)
    assert orjson.loads(kept.json_of(key(1)) or b"") == fields


def test_an_object_that_is_gone_or_has_none_costs_nothing() -> None:
    kept = ManagedFields()
    kept.put(key(1), [entry("helm", 1)])
    kept.put(key(1), None)
    kept.drop(key(2))
    assert kept.json_of(key(1)) is None
    assert kept.json_of(key(2)) is None


def test_objects_alike_cost_a_small_part_of_what_they_are() -> None:
    kept = ManagedFields()
    size = packed = 0
    for number in range(500):
        fields = [entry(manager, number) for manager in NAMES[:3]]
        kept.put(key(number), fields)
        size += len(orjson.dumps(fields))
        packed += len(kept._packed[key(number)])
    assert packed * 8 < size
