"""The record in a Lease is client-go's, field for field."""

from __future__ import annotations

from datetime import UTC, datetime

from reconcile_runner.apimachinery.objects import KubeObject
from reconcile_runner.leaderelection.lease import (
    Candidate,
    duration_of,
    fresh,
    holder_of,
    micro_time,
    released,
    renewed,
    taken,
)

ME = Candidate("me_1", 15)
NOW = datetime(2026, 1, 2, 3, 4, 5, 60, tzinfo=UTC)
STAMP = "2026-01-02T03:04:05.000060Z"
FOREIGN: KubeObject = {
    "apiVersion": "coordination.k8s.io/v1",
    "kind": "Lease",
    "metadata": {"name": "my-operator", "namespace": "shop", "resourceVersion": "7", "labels": {"a": "b"}},
    "spec": {
        "holderIdentity": "manager-6b8d_0d9f",
        "leaseDurationSeconds": 20,
        "acquireTime": "2025-12-31T23:00:00.000000Z",
        "renewTime": "2025-12-31T23:59:59.999999Z",
        "leaseTransitions": 3,
        "preferredHolder": "somebody",
    },
}


def test_a_new_lease_begins_with_no_transition() -> None:
    made = fresh("my-operator", "shop", ME, NOW)
    assert (made["apiVersion"], made["kind"]) == ("coordination.k8s.io/v1", "Lease")
    assert made["metadata"] == {"name": "my-operator", "namespace": "shop"}
    assert made["spec"] == {
        "holderIdentity": "me_1",
        "leaseDurationSeconds": 15,
        "acquireTime": STAMP,
        "renewTime": STAMP,
        "leaseTransitions": 0,
    }


def test_a_new_holder_counts_a_transition_and_leaves_the_rest() -> None:
    made = taken(FOREIGN, ME, NOW)
    assert made["metadata"] == FOREIGN["metadata"]
    assert made["spec"] == {
        "holderIdentity": "me_1",
        "leaseDurationSeconds": 15,
        "acquireTime": STAMP,
        "renewTime": STAMP,
        "leaseTransitions": 4,
        "preferredHolder": "somebody",
    }


def test_a_lease_made_by_hand_without_a_record_can_be_taken() -> None:
    bare: KubeObject = {"metadata": {"name": "my-operator"}}
    assert (holder_of(bare), duration_of(bare, 15)) == ("", 15)
    assert taken(bare, ME, NOW)["spec"]["leaseTransitions"] == 1


def test_a_renewal_changes_nothing_but_its_time() -> None:
    held = taken(FOREIGN, ME, datetime(2026, 1, 1, tzinfo=UTC))
    again = renewed(held, ME, NOW)
    assert again["spec"] == {**held["spec"], "renewTime": STAMP}


def test_a_release_leaves_nobody_for_one_second_and_keeps_the_count() -> None:
    left = released(taken(FOREIGN, ME, NOW), NOW)
    assert holder_of(left) == ""
    assert left["spec"]["holderIdentity"] == ""
    assert left["spec"]["leaseDurationSeconds"] == 1
    assert left["spec"]["leaseTransitions"] == 4


def test_the_holders_own_duration_counts() -> None:
    assert duration_of(FOREIGN, 15) == 20


def test_times_are_utc_with_six_digits() -> None:
    assert micro_time(datetime(2026, 1, 1, tzinfo=UTC)) == "2026-01-01T00:00:00.000000Z"
