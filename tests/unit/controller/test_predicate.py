from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconcile_runner.apimachinery.fieldpath import FieldPath
from reconcile_runner.apimachinery.labels import LabelSelector, Operator, Requirement
from reconcile_runner.apimachinery.objects import GroupVersionKind, KubeObject
from reconcile_runner.cache.event import Event, EventType
from reconcile_runner.controller.predicate import (
    matters_to_owner,
    matters_to_trigger,
    matters_to_watch,
    resets_backoff,
)
from reconcile_runner.watches.watch import Match, Trigger, Watch

WATCH = Watch(GroupVersionKind("example.com", "v1", "Thing"))
BLUE = replace(WATCH, selector=LabelSelector((Requirement("colour", Operator.IN, frozenset({"blue"})),)))
POD = GroupVersionKind("", "v1", "Pod")
BY_NAME = Match(FieldPath("metadata.name"), FieldPath("spec.name"))
BY_LABEL = Match(FieldPath("metadata.labels.friend"), FieldPath("spec.name"))


def thing(generation: int = 1, *, spec: Any = None, status: Any = None, **metadata: Any) -> KubeObject:
    meta = {"name": "a", "namespace": "default", "uid": "1", "resourceVersion": "1", **metadata}
    if generation:
        meta["generation"] = generation
    return {"metadata": meta, "spec": spec or {}, "status": status or {}}


def created(obj: KubeObject, *, initial: bool = False) -> Event:
    return Event(EventType.CREATED, obj, is_initial=initial)


def updated(old: KubeObject, new: KubeObject) -> Event:
    return Event(EventType.UPDATED, new, old)


def deleted(obj: KubeObject) -> Event:
    return Event(EventType.DELETED, obj)


class TestWatch:
    @pytest.mark.parametrize("initial", [True, False])
    def test_a_creation_matters(self, initial: bool) -> None:
        assert matters_to_watch(WATCH, created(thing(), initial=initial))

    def test_a_deletion_matters(self) -> None:
        assert matters_to_watch(WATCH, deleted(thing()))

    def test_a_new_generation_matters(self) -> None:
        assert matters_to_watch(WATCH, updated(thing(1), thing(2)))

    def test_a_status_write_does_not(self) -> None:
        assert not matters_to_watch(WATCH, updated(thing(), thing(status={"happy": True}, resourceVersion="2")))

    @pytest.mark.parametrize(
        ("old", "new", "expected"),
        [
            (thing(1), thing(2, status={"a": 1}), False),
            (thing(1), thing(2, status={"a": 1}, labels={"a": "b"}), False),
            (thing(1), thing(2, spec={"a": 1}, status={"a": 1}), True),
            (thing(1, spec={"a": 1}), thing(3, spec={"a": 1}, status={"a": 1}), True),
            (thing(1, spec={"a": 1}), thing(3, spec={"a": 1}, status={"observedGeneration": 2}), True),
            (thing(1, spec={"a": 1}), thing(3, spec={"a": 1}, status={"observedGeneration": 3}), False),
            (thing(1, spec={"a": 1}), thing(3, spec={"a": 2}, status={"observedGeneration": 3}), True),
            (thing(1), thing(2, status={"a": 1}, deletionTimestamp="2026-01-01T00:00:00Z"), True),
            (thing(1, status={"a": 1}), thing(2, status={"a": 1}), True),
        ],
        ids=[
            "status",
            "and labels",
            "and spec",
            "two writes",
            "judged before",
            "judged",
            "and another spec",
            "and deletion",
            "no difference",
        ],
    )
    def test_a_status_write_does_not_matter_where_it_raises_the_generation(
        self, old: KubeObject, new: KubeObject, expected: bool
    ) -> None:
        assert matters_to_watch(WATCH, updated(old, new)) is expected
        assert resets_backoff(updated(old, new)) is expected

    def test_an_object_without_a_spec_is_told_from_its_status_too(self) -> None:
        old, new = thing(1), thing(2, status={"a": 1})
        for obj in (old, new):
            del obj["spec"]
        assert not matters_to_watch(WATCH, updated(old, new))

    @pytest.mark.parametrize(
        ("conditions", "expected"),
        [
            ([{"type": "Running", "status": "True", "reason": "Running"}], False),
            ([{"type": "Ready", "status": "Unknown", "reason": "Reconciling"}], False),
            ([{"type": "Ready", "status": "True", "reason": "KubeletReady"}], True),
            ([{"type": "Network", "status": "True"}], True),
        ],
        ids=["Running", "our Ready", "the Ready of others", "another type"],
    )
    def test_our_conditions_of_a_kind_without_generations_do_not_matter(
        self, conditions: list[dict[str, str]], expected: bool
    ) -> None:
        new = thing(0, status={"conditions": conditions, "observedGeneration": 0}, resourceVersion="2")
        assert matters_to_watch(WATCH, updated(thing(0, status={"conditions": []}), new)) is expected

    def test_a_label_does_not(self) -> None:
        assert not matters_to_watch(WATCH, updated(thing(), thing(labels={"a": "b"})))

    def test_every_update_of_a_kind_without_generations_matters(self) -> None:
        assert matters_to_watch(WATCH, updated(thing(0), thing(0, status={"phase": "Running"})))

    @pytest.mark.parametrize("asked_for", [True, False])
    def test_annotations_matter_only_where_asked_for(self, asked_for: bool) -> None:
        watch = replace(WATCH, watch_annotations_changes=asked_for)
        assert matters_to_watch(watch, updated(thing(), thing(annotations={"a": "b"}))) is asked_for

    def test_unchanged_annotations_do_not_matter_where_asked_for(self) -> None:
        watch = replace(WATCH, watch_annotations_changes=True)
        same = thing(annotations={"a": "b"})
        assert not matters_to_watch(watch, updated(same, thing(annotations={"a": "b"}, resourceVersion="2")))

    @pytest.mark.parametrize(
        ("new", "expected"),
        [
            (thing(0, finalizers=["a.b/c"], resourceVersion="2"), False),
            (thing(0, resourceVersion="2"), True),
            (thing(0, finalizers=["a.b/c"], labels={"a": "b"}), True),
            (thing(0, finalizers=["a.b/c"], spec={"a": 1}), True),
        ],
        ids=["finalizers alone", "nothing", "and labels", "and content"],
    )
    def test_every_update_of_a_kind_without_generations_matters_but_a_finalizer(
        self, new: KubeObject, expected: bool
    ) -> None:
        assert matters_to_watch(WATCH, updated(thing(0, resourceVersion="1"), new)) is expected

    def test_the_request_to_delete_matters_once(self) -> None:
        deleting = thing(deletionTimestamp="2026-01-01T00:00:00Z")
        assert matters_to_watch(WATCH, updated(thing(), deleting))
        assert not matters_to_watch(WATCH, updated(deleting, thing(**deleting["metadata"] | {"finalizers": []})))

    def test_an_object_replaced_by_another_of_its_name_matters(self) -> None:
        assert matters_to_watch(WATCH, updated(thing(uid="1"), thing(uid="2")))

    @pytest.mark.parametrize(
        ("old", "new", "expected"),
        [
            ({}, {"reconcile-runner/reconcile-now": "1"}, True),
            ({"reconcile-runner/paused": "true"}, {}, True),
            ({}, {"reconcile-runner/paused": "true"}, False),
        ],
        ids=["reconcile now", "resumed", "paused"],
    )
    def test_annotations_of_our_own_may_ask_for_a_run(
        self, old: dict[str, str], new: dict[str, str], expected: bool
    ) -> None:
        event = updated(thing(annotations=old), thing(annotations=new))
        assert matters_to_watch(WATCH, event) is expected
        assert resets_backoff(event) is expected

    def test_a_deletion_starts_the_retries_afresh(self) -> None:
        assert resets_backoff(updated(thing(), thing(deletionTimestamp="2026-01-01T00:00:00Z")))


class TestSelector:
    def test_an_object_that_does_not_match_never_runs(self) -> None:
        assert not matters_to_watch(BLUE, created(thing(labels={"colour": "red"})))
        assert not matters_to_watch(BLUE, updated(thing(1), thing(2)))

    def test_an_object_that_stops_matching_does_not_run_even_when_its_spec_changes(self) -> None:
        was = thing(1, labels={"colour": "blue"})
        assert not matters_to_watch(BLUE, updated(was, thing(2, labels={"colour": "red"})))

    def test_an_object_that_comes_to_match_runs_though_labels_have_no_generation(self) -> None:
        assert matters_to_watch(BLUE, updated(thing(labels={"colour": "red"}), thing(labels={"colour": "blue"})))

    def test_a_matching_object_runs_by_the_ordinary_rules(self) -> None:
        labels = {"colour": "blue"}
        assert matters_to_watch(BLUE, created(thing(labels=labels)))
        assert matters_to_watch(BLUE, updated(thing(1, labels=labels), thing(2, labels=labels)))
        assert not matters_to_watch(BLUE, updated(thing(labels=labels), thing(labels={**labels, "size": "big"})))

    def test_a_deletion_reaches_the_reconciler_also_of_an_object_that_no_longer_matched(self) -> None:
        assert matters_to_watch(BLUE, deleted(thing(labels={"colour": "red"})))


class TestDesiredState:
    @pytest.mark.parametrize(
        ("event", "expected"),
        [
            (created(thing()), True),
            (deleted(thing()), False),
            (updated(thing(1), thing(2)), True),
            (updated(thing(1), thing(1, status={"happy": True})), False),
            (updated(thing(1), thing(1, annotations={"a": "b"})), False),
            (updated(thing(uid="1"), thing(uid="2")), True),
            (updated(thing(0), thing(0, status={"phase": "Running"}, resourceVersion="2")), False),
            (updated(thing(0), thing(0, spec={"a": 1})), True),
        ],
        ids=["created", "deleted", "spec", "status", "annotations", "replaced", "no generation: status", "and spec"],
    )
    def test_only_a_new_spec_makes_failures_forgotten(self, event: Event, expected: bool) -> None:
        assert resets_backoff(event) is expected


def trigger(*events: EventType, match: Match = BY_NAME, on: tuple[str, ...] | None = None) -> Trigger:
    paths = None if on is None else tuple(FieldPath(path) for path in on)
    return Trigger(POD, match, frozenset(events or EventType), paths)


class TestTriggerEvents:
    @pytest.mark.parametrize("wanted", list(EventType))
    def test_only_the_events_asked_for_matter(self, wanted: EventType) -> None:
        events = {
            EventType.CREATED: created(thing()),
            EventType.UPDATED: updated(thing(1), thing(2, spec={"a": 1})),
            EventType.DELETED: deleted(thing()),
        }
        passed = {kind for kind, event in events.items() if matters_to_trigger(trigger(wanted), event)}
        assert passed == {wanted}

    def test_all_of_them_matter_by_default(self) -> None:
        assert trigger().events == set(EventType)

    def test_an_object_replaced_out_of_sight_counts_as_deleted_and_created(self) -> None:
        event = updated(thing(uid="1"), thing(uid="2"))
        assert matters_to_trigger(trigger(EventType.CREATED), event)
        assert matters_to_trigger(trigger(EventType.DELETED), event)


class TestTriggerUpdates:
    @pytest.mark.parametrize(
        ("new", "expected"),
        [
            (thing(status={"phase": "Running"}, resourceVersion="2"), False),
            (thing(managedFields=[{"manager": "kubelet"}], resourceVersion="2"), False),
            (thing(resourceVersion="2"), False),
            (thing(labels={"a": "b"}), True),
            (thing(annotations={"a": "b"}), True),
            (thing(spec={"nodeName": "n1"}), True),
            (thing(generation=2), True),
            (thing(generation=2, status={"phase": "Running"}), False),
            (thing(generation=2, status={"phase": "Running"}, spec={"a": 1}), True),
            (thing(deletionTimestamp="2026-01-01T00:00:00Z"), True),
            ({**thing(), "data": {"key": "value"}}, True),
        ],
    )
    def test_by_default_any_change_but_of_status_and_bookkeeping_matters(self, new: KubeObject, expected: bool) -> None:
        assert matters_to_trigger(trigger(), updated(thing(), new)) is expected

    @pytest.mark.parametrize(
        ("on", "new", "expected"),
        [
            ("status", thing(status={"phase": "Running"}), True),
            ("status", thing(spec={"a": 1}), False),
            ("status.phase", thing(status={"phase": "Running"}), True),
            ("status.phase", thing(status={"podIP": "10.0.0.1"}), False),
            ("metadata.labels", thing(labels={"a": "b"}), True),
            ("metadata.labels", thing(annotations={"a": "b"}), False),
            ("metadata.labels['app.kubernetes.io/name']", thing(labels={"app.kubernetes.io/name": "x"}), True),
            ("status.conditions[*].status", thing(status={"conditions": [{"status": "True"}]}), True),
            ("status.conditions[*].status", thing(status={"conditions": []}), False),
        ],
    )
    def test_paths_narrow_updates_to_changes_of_what_they_lead_to(
        self, on: str, new: KubeObject, expected: bool
    ) -> None:
        assert matters_to_trigger(trigger(on=(on,)), updated(thing(), new)) is expected

    def test_one_of_several_paths_is_enough(self) -> None:
        either = trigger(on=("metadata.labels", "spec"))
        assert matters_to_trigger(either, updated(thing(), thing(spec={"a": 1})))

    def test_a_change_of_the_matched_value_matters_whatever_the_paths_say(self) -> None:
        moved = updated(thing(labels={"friend": "jack"}), thing(labels={"friend": "joe"}))
        assert matters_to_trigger(trigger(match=BY_LABEL, on=("status",)), moved)

    def test_a_change_of_the_matched_value_does_not_matter_where_updates_were_not_asked_for(self) -> None:
        moved = updated(thing(labels={"friend": "jack"}), thing(labels={"friend": "joe"}))
        only = trigger(EventType.CREATED, EventType.DELETED, match=BY_LABEL)
        assert not matters_to_trigger(only, moved)


@pytest.mark.parametrize("metadata_only", [True, False])
@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (created(thing()), False),
        (created(thing(), initial=True), False),
        (deleted(thing()), True),
        (updated(thing(), thing(resourceVersion="2", managedFields=[{"time": "now"}])), False),
        (updated(thing(), thing(2, resourceVersion="2")), True),
        (updated(thing(), thing(resourceVersion="2", labels={"a": "b"})), True),
        (updated(thing(), thing(resourceVersion="2", annotations={"a": "b"})), True),
        (updated(thing(), thing(resourceVersion="2", ownerReferences=[{"uid": "x"}])), True),
        (updated(thing(), thing(resourceVersion="2", deletionTimestamp="now")), True),
        (updated(thing(), thing(resourceVersion="2", uid="2")), True),
    ],
    ids=[
        "created",
        "listed first",
        "deleted",
        "bookkeeping",
        "generation",
        "labels",
        "annotations",
        "owners",
        "deletion",
        "replaced",
    ],
)
def test_a_dependents_events_matter_unless_they_change_nothing_of_its_own(
    event: Event, expected: bool, metadata_only: bool
) -> None:
    assert matters_to_owner(event, metadata_only=metadata_only) is expected


def test_a_whole_dependent_without_generations_matters_but_for_its_status() -> None:
    old = thing(0, spec={"a": 1}, status={"a": 1})
    for new, expected in (
        (thing(0, spec={"a": 1}, status={"a": 2}, resourceVersion="2"), False),
        (thing(0, spec={"a": 2}, status={"a": 1}, resourceVersion="2"), True),
    ):
        assert matters_to_owner(updated(old, new), metadata_only=False) is expected


def test_metadata_alone_of_a_kind_without_generations_matters_whenever_it_is_a_new_version() -> None:
    assert matters_to_owner(updated(thing(0), thing(0, resourceVersion="2")), metadata_only=True)
    assert not matters_to_owner(updated(thing(0), thing(0)), metadata_only=True)
