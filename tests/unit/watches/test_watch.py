from __future__ import annotations

import pytest

from reconcile_runner.apimachinery.fieldpath import FieldPath
from reconcile_runner.apimachinery.objects import GroupVersionKind
from reconcile_runner.cache.event import EventType
from reconcile_runner.watches.watch import Match, Trigger, Watch

POD = GroupVersionKind("", "v1", "Pod")
BY_NAME = Match(source=FieldPath("metadata.name"), field=FieldPath("spec.name"))
LIFETIME = frozenset({EventType.CREATED, EventType.DELETED})


def paths(*texts: str) -> tuple[FieldPath, ...]:
    return tuple(FieldPath(text) for text in texts)


@pytest.mark.parametrize(
    ("trigger", "whole"),
    [
        (Trigger(POD, BY_NAME, events=LIFETIME), False),
        (Trigger(POD, BY_NAME, events=LIFETIME, on=paths("status")), False),
        (Trigger(POD, BY_NAME), True),
        (Trigger(POD, BY_NAME, on=paths("metadata.labels", "metadata.annotations")), False),
        (Trigger(POD, BY_NAME, on=paths("metadata.labels", "spec")), True),
        (Trigger(POD, Match(FieldPath("spec.nodeName"), FieldPath("spec.name")), events=LIFETIME), True),
    ],
    ids=["lifetime", "on_without_updated", "any_change", "on_metadata", "on_spec", "source_in_spec"],
)
def test_a_trigger_needs_whole_objects_only_where_it_reads_more_than_metadata(trigger: Trigger, whole: bool) -> None:
    assert trigger.needs_whole_objects is whole


@pytest.mark.parametrize(
    ("gvk", "name"),
    [
        (GroupVersionKind("example.com", "v1", "Foo"), "foo-v1-example.com-controller"),
        (GroupVersionKind("other.com", "v1", "Foo"), "foo-v1-other.com-controller"),
        (POD, "pod-v1-controller"),
    ],
)
def test_controllers_of_two_groups_with_one_kind_have_two_names(gvk: GroupVersionKind, name: str) -> None:
    assert Watch(gvk).controller_name == name
