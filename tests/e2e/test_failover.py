"""Two replicas and one Lease in a cluster: who leads when the leader is killed, or goes, in the middle of changes."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

import pytest

from tests.e2e.changing import Village
from tests.e2e.deployed import Deployed
from tests.e2e.killing import kill, overlaps
from tests.e2e.podlogs import ProcessLog, moment
from tests.e2e.watching import History, watched

pytestmark = pytest.mark.timeout(1200)

FOOS = 20
CHANGES = 50
KILLED_TAKEOVER = timedelta(seconds=17)
"""From the last renewal of a leader that was killed: the Lease's 15 s, and the 2 s between two looks at it."""

RELEASED_TAKEOVER = timedelta(seconds=3)
"""From the release of a leader that was told to end."""


def lease_watched(operator: Deployed) -> AbstractContextManager[History]:
    collection, _, name = operator.lease_path.rpartition("/")
    return watched(operator.api, collection, fieldSelector=f"metadata.name={name}")


def takeover(history: History, old: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the last record of a holder's, or of its release, and the first of the next holder's."""
    records = [state["spec"] for state in history.checked()]
    last = max(number for number, record in enumerate(records) if record.get("holderIdentity") == old)
    after = [record for record in records[last:] if record.get("holderIdentity") != old]
    released = [record for record in after if not record.get("holderIdentity")]
    taken = next(record for record in after if record.get("holderIdentity"))
    return released[0] if released else records[last], taken


def seconds_between(last: dict[str, Any], taken: dict[str, Any]) -> timedelta:
    return moment(taken["acquireTime"]) - moment(last["renewTime"])


def test_when_the_leader_is_killed_the_standby_leads_in_time_and_every_foo_ends_right(
    operator: Deployed, village: Village, figures: list[str]
) -> None:
    village.populate(FOOS)
    village.settles()
    operator.settle()
    with operator.logs().followed() as logs, lease_watched(operator) as history:
        leader, old = operator.leader(), operator.lease()["holderIdentity"]
        for _ in range(CHANGES // 2):
            village.change()
        death = kill(operator, leader)
        for _ in range(CHANGES // 2):
            village.change()
        village.settles()
        last, taken = takeover(history, old)
    figures.append(f"leader killed: another leads {seconds_between(last, taken)} after its last renewal")
    assert last["holderIdentity"] == old, "a process that is killed releases nothing"
    assert seconds_between(last, taken) <= KILLED_TAKEOVER
    assert overlaps(logs.processes(), [death]) == []
    assert_all_were_followed(logs.processes(), {old, taken["holderIdentity"]})


def test_when_the_leader_is_told_to_go_the_standby_leads_at_once_and_no_run_is_cut_off(
    operator: Deployed, village: Village, figures: list[str]
) -> None:
    village.populate(FOOS)
    village.settles()
    operator.settle()
    with operator.logs().followed() as logs, lease_watched(operator) as history:
        leader, old = operator.leader(), operator.lease()["holderIdentity"]
        for _ in range(CHANGES // 2):
            village.change()
        operator.kubectl.run("delete", "--namespace", operator.namespace, "pod", leader, "--wait=false")
        for _ in range(CHANGES // 2):
            village.change()
        village.settles()
        operator.settle()
        last, taken = takeover(history, old)
    figures.append(f"leader told to go: another leads {seconds_between(last, taken)} after its release")
    assert last["holderIdentity"] == "", "the leader released the Lease"
    assert seconds_between(last, taken) <= RELEASED_TAKEOVER
    processes = logs.processes()
    assert overlaps(processes, []) == []
    assert_all_were_followed(processes, {old, taken["holderIdentity"]})
    (ended,) = [log for log in processes if log.identity == old]
    assert [run for run in ended.runs() if run.end is None] == []
    assert ended.messages("lease released")


def assert_all_were_followed(processes: list[ProcessLog], identities: set[str]) -> None:
    """Fail where the log of one that led is not known: no overlap would be seen."""
    assert identities <= {log.identity for log in processes}
    assert all(any(log.runs()) for log in processes if log.identity in identities)
