"""Several operators and one Lease on a real API server: one acts at a time, whoever dies, leaves or is foreign."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconcile_devcluster import crds
from reconcile_devcluster.api import ApiServer
from reconcile_devcluster.cluster import Cluster
from reconcile_runner.leaderelection.lease import micro_time
from tests.support.controlplane import stop_api_server
from tests.support.lifecycle import GROUP, Thing, definition
from tests.support.operator_process import OperatorProcess, eventually, operator

pytestmark = pytest.mark.timeout(300)

KIND = "Elected"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
LEASE_DURATION = 10
FLAGS = ("--leader-elect", "--leader-election-namespace", "default")
GRACE = ("--graceful-shutdown-timeout", "120s")
TIMING = ("--leader-elect-lease-duration", f"{LEASE_DURATION}s", "--leader-elect-renew-deadline", "8s", *GRACE)

TASKS = """
- name: Work alone until the gate is open
  ansible.builtin.shell: |
    flock --nonblock --conflict-exit-code 75 "{{ yard }}/{{ ansible_operator_meta.name }}.lock" sh -c '
      if [ -e "{{ yard }}/stubborn" ]; then trap "" TERM; fi
      echo $$ >> "{{ yard }}/pids"
      echo "run {{ ansible_operator_meta.name }}" >> "{{ yard }}/diary"
      until [ -e "{{ yard }}/gate" ]; do sleep 0.1; done
      echo "end {{ ansible_operator_meta.name }}" >> "{{ yard }}/diary"
    '
    if [ $? = 75 ]; then echo "overlap {{ ansible_operator_meta.name }}" >> "{{ yard }}/diary"; fi
"""


@dataclass(frozen=True)
class Yard:
    """Where the runs of all operators write a diary, and wait for a gate. The Lease has its name."""

    directory: Path

    @property
    def name(self) -> str:
        return self.directory.name.replace("_", "-")

    @property
    def watches(self) -> Path:
        return self.directory / "watches.yaml"

    @property
    def lease(self) -> str:
        return f"{LEASES}/{self.name}"

    def open_gate(self) -> None:
        (self.directory / "gate").touch()

    def make_stubborn(self) -> None:
        """Have runs ignore SIGTERM from now on."""
        (self.directory / "stubborn").touch()

    def processes(self) -> list[int]:
        """Return the process of each run, in order, whether it lives or not."""
        return [int(line) for line in (self.directory / "pids").read_text().split()]

    def lines(self) -> list[str]:
        diary = self.directory / "diary"
        return diary.read_text().splitlines() if diary.exists() else []

    def waits_for_runs(self, name: str, count: int) -> None:
        eventually(lambda: self.lines().count(f"run {name}") == count, f"run {count} of {name}")

    def write(self) -> None:
        tasks = self.directory / "elected" / "tasks"
        tasks.mkdir(parents=True)
        (tasks / "main.yml").write_text(TASKS)
        selector = {"matchLabels": {"yard": self.name}}
        entry = {"group": GROUP, "version": "v1", "kind": KIND, "role": str(self.directory / "elected")}
        more = {"vars": {"yard": str(self.directory)}, "selector": selector, "reconcilePeriod": "0s"}
        self.watches.write_text(yaml.safe_dump([{**entry, **more}]))


def is_alive(pid: int) -> bool:
    """Tell whether a process has not ended; one that nobody has taken notice of yet (a zombie) has."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    made = Yard(tmp_path)
    made.write()
    return made


def install(cluster: Cluster, directory: Path) -> ApiServer:
    directory.mkdir()
    (directory / "elected.yaml").write_text(yaml.safe_dump(definition(KIND)))
    crds.install(cluster.api, directory)
    return cluster.api


@pytest.fixture(scope="module")
def api(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> ApiServer:
    return install(cluster, tmp_path_factory.mktemp("election") / "crds")


@contextmanager
def contender(cluster: Cluster, yard: Yard, *more: str) -> Iterator[OperatorProcess]:
    flags = (*FLAGS, *TIMING, *more, "--leader-election-id", yard.name, "--user-metrics-bind-address", "127.0.0.1:0")
    with operator(cluster.kubeconfig, yard.watches, flags=flags, env={"ANSIBLE_GATHERING": "explicit"}) as process:
        process.wait_ready()
        yield process


@contextmanager
def leader_and_standby(cluster: Cluster, yard: Yard, *more: str) -> Iterator[tuple[OperatorProcess, OperatorProcess]]:
    with ExitStack() as parts:
        leader = parts.enter_context(contender(cluster, yard, *more))
        leader.wait_for_message("leading")
        standby = parts.enter_context(contender(cluster, yard, *more))
        standby.wait_for_message("standing by", holder=leader.messages("leading")[0]["identity"])
        yield leader, standby


def create(api: ApiServer, yard: Yard, name: str) -> Thing:
    return Thing(api, KIND, f"{name}-{yard.name}").create(labels={"yard": yard.name})


def spec_of(api: ApiServer, yard: Yard) -> dict[str, Any]:
    found: dict[str, Any] = api.call("GET", yard.lease)["spec"]
    return found


def status_of(process: OperatorProcess, yard: Yard) -> str:
    prefix = f'leader_election_master_status{{name="{yard.name}"}} '
    return next(line for line in process.metrics().splitlines() if line.startswith(prefix)).removeprefix(prefix)


@pytest.mark.exhaustive
def test_when_the_leader_is_killed_the_standby_leads_and_runs_again_what_was_cut_off(
    cluster: Cluster, api: ApiServer, yard: Yard
) -> None:
    with leader_and_standby(cluster, yard) as (leader, standby):
        assert (status_of(leader, yard), status_of(standby, yard)) == ("1.0", "0.0")
        one, two = create(api, yard, "one"), create(api, yard, "two")
        yard.waits_for_runs(one.name, 1)
        leader.stop(signal.SIGKILL)
        assert standby.messages("reconciling") == []
        standby.wait_for_message("leading")
        yard.waits_for_runs(one.name, 2)
        yard.open_gate()
        for made in (one, two):
            made.becomes_ready()
        assert status_of(standby, yard) == "1.0"
        record = spec_of(api, yard)
        assert record["leaseTransitions"] == 1
        assert record["holderIdentity"] == standby.messages("leading")[0]["identity"]
    assert [line for line in yard.lines() if line.startswith("overlap")] == []
    assert spec_of(api, yard)["holderIdentity"] == ""


@pytest.mark.exhaustive
def test_a_leader_that_is_told_to_end_holds_the_lease_until_its_last_run_has_ended(
    cluster: Cluster, api: ApiServer, yard: Yard
) -> None:
    with leader_and_standby(cluster, yard) as (leader, standby):
        one = create(api, yard, "one")
        yard.waits_for_runs(one.name, 1)
        leader.process.send_signal(signal.SIGTERM)
        leader.wait_for_message("stopping")
        two = create(api, yard, "two")
        renewals = set()

        def renewed_for_longer_than_a_lease() -> bool:
            renewals.add(spec_of(api, yard)["renewTime"])
            return len(renewals) > LEASE_DURATION / 2 + 1

        eventually(renewed_for_longer_than_a_lease, "renewals during the last run")
        assert standby.messages("leading") == []
        yard.open_gate()
        assert leader.process.wait(timeout=60) == 0
        leader.stop()
        last_run = leader.messages("reconciled")[-1]["ts"]
        assert leader.messages("lease released")[0]["ts"] > last_run
        # Not compared with the line above: the standby sees the release a moment before the leader speaks of it.
        assert standby.wait_for_message("leading")["ts"] > last_run
        two.becomes_ready()
        assert standby.runs(two.name) == 1
        assert leader.runs(two.name) == 0
    assert [line for line in yard.lines() if line.startswith("overlap")] == []


@pytest.mark.parametrize("is_stubborn", [False, True], ids=["ends", "ignores SIGTERM"])
@pytest.mark.parametrize("engine", ["forkserver", "subprocess"])
def test_when_the_grace_period_is_over_runs_end_with_their_processes_and_the_successor_runs_them_again(
    cluster: Cluster, api: ApiServer, yard: Yard, engine: str, is_stubborn: bool
) -> None:
    if is_stubborn:
        yard.make_stubborn()
    flags = ("--graceful-shutdown-timeout", "1s", "--engine", engine)
    with leader_and_standby(cluster, yard, *flags) as (leader, standby):
        one = create(api, yard, "one")
        yard.waits_for_runs(one.name, 1)
        leader.process.send_signal(signal.SIGTERM)
        assert leader.process.wait(timeout=60) == 0
        leader.stop()
        assert not is_alive(yard.processes()[0])
        (interrupted,) = leader.messages("the grace period is over: interrupting reconciles")
        assert interrupted["requests"] == [f"default/{one.name}"]
        released = leader.messages("lease released")[0]["ts"]
        assert interrupted["ts"] < released
        assert interrupted["ts"] < standby.wait_for_message("leading")["ts"]
        yard.waits_for_runs(one.name, 2)
        yard.open_gate()
        one.becomes_ready()
    assert yard.lines() == [f"run {one.name}", f"run {one.name}", f"end {one.name}"]


@pytest.mark.exhaustive
def test_a_leader_that_is_stopped_is_gone_with_its_runs_before_another_leads(
    cluster: Cluster, api: ApiServer, yard: Yard
) -> None:
    with leader_and_standby(cluster, yard) as (leader, standby):
        one = create(api, yard, "one")
        yard.waits_for_runs(one.name, 1)
        leader.process.send_signal(signal.SIGSTOP)
        standby.wait_for_message("leading")
        assert leader.process.wait(timeout=60) == -signal.SIGKILL
        yard.waits_for_runs(one.name, 2)
        yard.open_gate()
        one.becomes_ready()
    assert [line for line in yard.lines() if line.startswith("overlap")] == []


class GoOperator:
    """Holds a Lease as an operator in Go does, until it is told to stop."""

    def __init__(self, api: ApiServer, yard: Yard) -> None:
        self.identity = "my-operator-controller-manager-7c9d5b7f4-x2x8k_5d3c1f0e-6d1b-4f5e-9f0a-0c1d2e3f4a5b"
        self._api = api
        self._yard = yard
        self._stopped = threading.Event()
        self.renewals = 0
        now = micro_time(datetime.now(UTC))
        record = {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": LEASE_DURATION,
            "acquireTime": now,
            "renewTime": now,
            "leaseTransitions": 7,
        }
        lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": yard.name}}
        api.call("POST", LEASES, {**lease, "spec": record})
        self._renewing = threading.Thread(target=self._renew, name="operator in Go", daemon=True)
        self._renewing.start()

    def _renew(self) -> None:
        while not self._stopped.wait(0.5):
            body = {"spec": {"renewTime": micro_time(datetime.now(UTC))}}
            self._api.call("PATCH", self._yard.lease, body, "application/merge-patch+json")
            self.renewals += 1

    def stop(self) -> None:
        self._stopped.set()
        self._renewing.join(timeout=30)


@pytest.mark.exhaustive
def test_an_operator_in_go_that_holds_the_lease_keeps_this_one_from_acting_until_it_stops(
    cluster: Cluster, api: ApiServer, yard: Yard
) -> None:
    yard.open_gate()
    foreign = GoOperator(api, yard)
    try:
        with contender(cluster, yard) as process:
            process.wait_for_message("standing by", holder=foreign.identity)
            made = create(api, yard, "one")
            before = foreign.renewals
            eventually(lambda: foreign.renewals > before + 3 * LEASE_DURATION, "more than a lease duration of renewals")
            assert process.messages("reconciling") == []
            assert made.get().get("status") is None
            assert made.events() == []
            foreign.stop()
            made.becomes_ready()
            assert spec_of(api, yard)["leaseTransitions"] == 8
            assert spec_of(api, yard)["holderIdentity"] == process.messages("leading")[0]["identity"]
            assert yard.lines() == [f"run {made.name}", f"end {made.name}"]
    finally:
        foreign.stop()


def test_an_operator_in_go_that_takes_the_lease_ends_this_one_with_its_runs(
    cluster: Cluster, api: ApiServer, yard: Yard
) -> None:
    with contender(cluster, yard) as process:
        made = create(api, yard, "one")
        yard.waits_for_runs(made.name, 1)
        body = {"spec": {"holderIdentity": "somebody-else", "renewTime": micro_time(datetime.now(UTC))}}
        api.call("PATCH", yard.lease, body, "application/merge-patch+json")
        assert process.process.wait(timeout=60) == 1
        process.stop()
        (line,) = process.messages("lease lost: ending all runs and this process")
        assert line["reason"] == "somebody-else holds it"
    assert spec_of(api, yard)["holderIdentity"] == "somebody-else"
    yard.open_gate()
    assert yard.lines() == [f"run {made.name}"]


@pytest.mark.exhaustive
def test_a_leader_that_cannot_renew_ends_its_runs_and_itself(own_cluster: Cluster, yard: Yard, tmp_path: Path) -> None:
    api = install(own_cluster, tmp_path / "crds")
    with contender(own_cluster, yard) as process:
        made = create(api, yard, "one")
        yard.waits_for_runs(made.name, 1)
        stop_api_server(own_cluster)
        assert process.process.wait(timeout=60) == 1
    yard.open_gate()
    assert yard.lines() == [f"run {made.name}"]
    own_cluster.start_api_server()
    with contender(own_cluster, yard):
        made.becomes_ready()
    assert [line for line in yard.lines() if line.startswith("overlap")] == []


def test_with_no_more_rights_than_documented_it_leads_and_stands_by(
    cluster: Cluster, api: ApiServer, yard: Yard
) -> None:
    yard.open_gate()
    rights = [
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update", "watch"]},
        {"apiGroups": [GROUP], "resources": ["*"], "verbs": ["*"]},
        {"apiGroups": [""], "resources": ["events"], "verbs": ["create", "patch"]},
    ]
    user = f"operator-{yard.name}"
    kubeconfig = cluster.create_user(user, [])
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    meta = {"metadata": {"name": yard.name}}
    api.call("POST", f"{rbac}/clusterroles", {**meta, "rules": rights})
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": yard.name}
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}
    api.call("POST", f"{rbac}/clusterrolebindings", {**meta, "roleRef": role, "subjects": [subject]})
    flags = (*FLAGS, *TIMING, "--leader-election-id", yard.name, "--user-metrics-bind-address", "127.0.0.1:0")
    with (
        operator(kubeconfig, yard.watches, flags=flags) as leader,
        operator(kubeconfig, yard.watches, flags=flags) as other,
    ):
        for process in (leader, other):
            process.wait_ready()
        create(api, yard, "one").becomes_ready()
        eventually(lambda: len(leader.messages("leading") + other.messages("leading")) == 1, "one leader")
        for process in (leader, other):
            assert process.messages("cannot watch the lease, reading it every 2 s") == []
            assert [line for line in process.lines if "forbidden" in str(line.get("error"))] == []
