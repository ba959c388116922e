"""The record that client-go's leader election writes into a Lease. No I/O here.

It is client-go's, field for field (its
``tools/leaderelection`` and ``resourcelock.LeaseLock``), so that operators in Go and this one take turns. Whatever else
stands in a Lease stays there.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from reconcile_runner.apimachinery.objects import KubeObject

NOBODY: Final = ""
"""The holder of a Lease that was released."""

RELEASED_DURATION: Final = 1
"""Seconds that client-go writes into a Lease as it releases it: the API server takes no 0."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """Who writes a Lease: its identity, and the seconds for which a renewal counts."""

    identity: str
    lease_duration: int


def collection_path(namespace: str) -> str:
    """Return where a namespace's Leases are."""
    return f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"


def spec_of(lease: KubeObject) -> KubeObject:
    """Return the record in a Lease; empty in one that was made by hand."""
    return lease.get("spec") or {}


def holder_of(lease: KubeObject) -> str:
    """Return the identity of who holds a Lease, ``NOBODY`` for a released one."""
    return spec_of(lease).get("holderIdentity") or NOBODY


def duration_of(lease: KubeObject, default: int) -> int:
    """Return the seconds for which a renewal counts: the holder's setting, not ours."""
    return spec_of(lease).get("leaseDurationSeconds") or default


def fresh(name: str, namespace: str, candidate: Candidate, now: datetime) -> KubeObject:
    """Return a Lease to create."""
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {**_held(candidate, now), "acquireTime": micro_time(now), "leaseTransitions": 0},
    }


def taken(lease: KubeObject, candidate: Candidate, now: datetime) -> KubeObject:
    """Return the Lease as a new holder writes it."""
    transitions = (spec_of(lease).get("leaseTransitions") or 0) + 1
    return _with(lease, {**_held(candidate, now), "acquireTime": micro_time(now), "leaseTransitions": transitions})


def renewed(lease: KubeObject, candidate: Candidate, now: datetime) -> KubeObject:
    """Return the Lease as its holder writes it again."""
    return _with(lease, _held(candidate, now))


def released(lease: KubeObject, now: datetime) -> KubeObject:
    """Return the Lease as its holder leaves it: free at once."""
    times = {"acquireTime": micro_time(now), "renewTime": micro_time(now)}
    return _with(lease, {"holderIdentity": NOBODY, "leaseDurationSeconds": RELEASED_DURATION, **times})


def micro_time(moment: datetime) -> str:
    """Return Kubernetes' ``MicroTime`` of a moment in UTC.

    It is for people: do not judge a Lease by it.
    """
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _held(candidate: Candidate, now: datetime) -> KubeObject:
    return {
        "holderIdentity": candidate.identity,
        "leaseDurationSeconds": candidate.lease_duration,
        "renewTime": micro_time(now),
    }


def _with(lease: KubeObject, fields: KubeObject) -> KubeObject:
    return {**lease, "spec": {**spec_of(lease), **fields}}
