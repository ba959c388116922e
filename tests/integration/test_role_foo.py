"""The role and its playbook, run by ansible-playbook against a real API server: by hand, as a user would."""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support.ansible_support import (
    RecordingProxy,
    SeenRequest,
    clean_environment,
    run_playbook,
)
from tests.support.operator_process import Kube, eventually
from tests.support.paths import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

    from reconcile_devcluster.cluster import Cluster

NAMESPACE = "foo-role"
ELSEWHERE = "foo-role-elsewhere"
PLAYBOOK = REPOSITORY / "playbooks/foo.yml"

# A start of ansible-playbook takes seconds, and minutes on a machine that has other things to do.
pytestmark = pytest.mark.timeout(300)

LINKED = '"msg": "pod linked found"'
UPDATED = '"msg": "happy status updated"'


@pytest.fixture(scope="module")
def kube(foo_cluster: Cluster) -> Kube:
    made = Kube(foo_cluster.api)
    made.create_namespace(NAMESPACE)
    made.create_namespace(ELSEWHERE)
    return made


class ByHand:
    """Runs of playbooks/foo.yml, as its first lines say, and what the last one said."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment
        self.output = ""
        self.code = -1

    def run(self, name: str, *options: str, **variables: object) -> None:
        """Reconcile a Foo; `variables` go in as JSON, as the operator gives them."""
        given = ["-e", f"foo_name={name}", "-e", f"foo_namespace={NAMESPACE}", "-e", json.dumps(variables)]
        done = run_playbook(PLAYBOOK, self.environment, *given, *options)
        self.output = done.stdout + done.stderr
        self.code = done.returncode

    @property
    def changed(self) -> int:
        """The recap's count of changed tasks; the run must have succeeded."""
        assert self.code == 0, self.output
        return int(re.findall(r"changed=(\d+)", self.output)[-1])


@pytest.fixture
def by_hand(proxy: RecordingProxy, tmp_path: Path) -> ByHand:
    return ByHand(clean_environment(tmp_path, **proxy.environment()))


def version(kube: Kube, name: str) -> str:
    return str(kube.foo(NAMESPACE, name)["metadata"]["resourceVersion"])


def test_a_pod_in_any_namespace_makes_a_foo_happy_until_it_is_gone(
    kube: Kube, proxy: RecordingProxy, by_hand: ByHand
) -> None:
    kube.create_foo(NAMESPACE, "anywhere", "anne")
    kube.create_pod(ELSEWHERE, "anne")
    by_hand.run("anywhere")
    assert by_hand.changed == 1
    assert LINKED in by_hand.output
    assert UPDATED in by_hand.output
    assert kube.happy(NAMESPACE, "anywhere") is True

    before = version(kube, "anywhere")
    proxy.seen.clear()
    by_hand.run("anywhere")
    assert by_hand.changed == 0
    assert LINKED in by_hand.output
    assert UPDATED not in by_hand.output
    # The playbook reads the Foo for its friend, the role asks for the Pod, the module reads the Foo.
    assert [request.method for request in proxy.seen] == ["GET", "GET", "GET"]
    assert version(kube, "anywhere") == before

    kube.delete_pod(ELSEWHERE, "anne")
    by_hand.run("anywhere")
    assert by_hand.changed == 1
    assert LINKED not in by_hand.output
    assert UPDATED in by_hand.output
    assert kube.happy(NAMESPACE, "anywhere") is False


def event(kube: Kube, name: str) -> dict[str, Any]:
    return kube.api.call("GET", f"/api/v1/namespaces/{NAMESPACE}/events/{name}")


@pytest.mark.exhaustive
def test_a_change_of_happiness_is_an_event_about_the_foo(kube: Kube, proxy: RecordingProxy, by_hand: ByHand) -> None:
    kube.create_foo(NAMESPACE, "told", "hugo")
    for round_number in (1, 2):
        by_hand.run("told")
        unhappy = event(kube, "told.unhappy")
        assert (unhappy["reason"], unhappy["count"]) == ("Unhappy", round_number)
        kube.create_pod(NAMESPACE, "hugo")
        by_hand.run("told")
        happy = event(kube, "told.happy")
        assert (happy["reason"], happy["type"], happy["count"]) == ("Happy", "Normal", round_number)
        assert happy["message"] == "A Pod named 'hugo' exists"
        assert happy["involvedObject"]["uid"] == kube.foo(NAMESPACE, "told")["metadata"]["uid"]
        kube.delete_pod(NAMESPACE, "hugo")

    by_hand.run("told")
    proxy.seen.clear()
    by_hand.run("told")
    assert proxy.of("events") == []


def test_whoever_may_not_write_events_can_still_make_foos_happy(
    kube: Kube, proxy: RecordingProxy, by_hand: ByHand
) -> None:
    def forbid_events(request: SeenRequest) -> int | None:
        return HTTPStatus.FORBIDDEN if "/events" in request.path else None

    kube.create_foo(NAMESPACE, "silent", "ines")
    kube.create_pod(NAMESPACE, "ines")
    proxy.interfere = forbid_events
    by_hand.run("silent")
    assert by_hand.changed == 1
    assert kube.happy(NAMESPACE, "silent") is True
    assert "cannot read it: forbidden" in by_hand.output
    assert "...ignoring" in by_hand.output


def test_the_pod_is_asked_for_with_one_small_request(kube: Kube, proxy: RecordingProxy, by_hand: ByHand) -> None:
    kube.create_foo(NAMESPACE, "economical", "bill")
    by_hand.run("economical")
    assert by_hand.code == 0, by_hand.output
    [pods] = proxy.of("pods")
    assert pods.path == "/api/v1/pods?fieldSelector=metadata.name=bill"
    assert "PartialObjectMetadataList" in pods.accept


def test_a_pod_counts_until_it_is_gone(kube: Kube, by_hand: ByHand) -> None:
    kube.create_foo(NAMESPACE, "patient", "carl")
    kube.create_pod(NAMESPACE, "carl")
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/carl"
    kube.patch(path, {"metadata": {"finalizers": ["tutorial.my.domain/keep"]}})
    kube.delete_pod(NAMESPACE, "carl")
    by_hand.run("patient")
    assert kube.happy(NAMESPACE, "patient") is True

    kube.patch(path, {"metadata": {"finalizers": None}})
    eventually(lambda: not kube.exists(path), "the Pod to be gone")
    by_hand.run("patient")
    assert kube.happy(NAMESPACE, "patient") is False


def test_check_mode_tells_and_changes_nothing(kube: Kube, by_hand: ByHand) -> None:
    kube.create_foo(NAMESPACE, "careful", "dora")
    before = version(kube, "careful")
    by_hand.run("careful", "--check", "--diff")
    assert by_hand.changed == 1
    assert '"happy": false' in by_hand.output
    assert UPDATED not in by_hand.output
    assert version(kube, "careful") == before


@pytest.mark.exhaustive
def test_a_friend_is_a_name_and_never_a_template(kube: Kube, by_hand: ByHand, tmp_path: Path) -> None:
    """A name that is one is never evaluated; one that is more than a name selects nothing else."""
    kube.create_pod(NAMESPACE, "eve")
    kube.create_pod(NAMESPACE, "123")
    evidence = tmp_path / "evidence"
    friends = {
        "{{ lookup('pipe', 'touch " + str(evidence) + "') }}": False,
        "{{ 'eve' }}": False,
        "eve,metadata.namespace=" + NAMESPACE: False,
        "": False,
        "eve": True,
        "123": True,
    }
    for index, friend in enumerate(friends):
        kube.create_foo(NAMESPACE, f"cautious-{index}", "nobody")
        # As the operator marks the fields of a custom resource.
        variables = tmp_path / f"vars-{index}.json"
        variables.write_text(json.dumps({"friend": {"__ansible_unsafe": friend}, "index": index}), encoding="utf-8")
    playbook = tmp_path / "all.yml"
    playbook.write_text(yaml.safe_dump(plays(tmp_path, len(friends))), encoding="utf-8")
    done = run_playbook(playbook, by_hand.environment)
    assert done.returncode == 0, done.stdout + done.stderr
    happy = {friend: kube.happy(NAMESPACE, f"cautious-{index}") for index, friend in enumerate(friends)}
    assert happy == friends
    assert not evidence.exists()


def plays(directory: Path, count: int) -> list[dict[str, object]]:
    """One play for each file of variables, so that one start of Ansible serves them all."""
    return [
        {
            "hosts": "localhost",
            "gather_facts": False,
            "vars_files": [str(directory / f"vars-{index}.json")],
            "roles": [
                {
                    "role": "foo",
                    "foo_name": f"cautious-{index}",
                    "foo_namespace": NAMESPACE,
                    "foo_friend": "{{ friend }}",
                }
            ],
        }
        for index in range(count)
    ]


def test_an_api_server_that_does_not_know_pods_makes_nobody_unhappy(
    kube: Kube, proxy: RecordingProxy, by_hand: ByHand
) -> None:
    kube.create_foo(NAMESPACE, "stable", "frank")
    kube.create_pod(NAMESPACE, "frank")
    by_hand.run("stable")
    assert kube.happy(NAMESPACE, "stable") is True

    def discovery_fails(request: SeenRequest) -> int | None:
        core = request.path in ("/api/v1", "/api/v1/")
        return HTTPStatus.NOT_FOUND if core else None

    proxy.interfere = discovery_fails
    for cache in (REPOSITORY / by_hand.environment["TMPDIR"]).glob("k8srcp-*.json"):
        cache.unlink()
    by_hand.run("stable")
    assert by_hand.code != 0
    assert kube.happy(NAMESPACE, "stable") is True


def test_a_foo_that_is_not_there_is_named(kube: Kube, by_hand: ByHand) -> None:
    by_hand.run("nobody")
    assert by_hand.code != 0
    assert f"no Foo {NAMESPACE}/nobody in this cluster" in by_hand.output


def test_a_foo_deleted_in_the_middle_of_the_run_is_said_to_be_not_found(
    kube: Kube, proxy: RecordingProxy, by_hand: ByHand
) -> None:
    kube.create_foo(NAMESPACE, "fleeting", "gina")

    def delete_foo(request: SeenRequest) -> None:
        if "/pods" in request.path:
            kube.delete_foo(NAMESPACE, "fleeting")

    proxy.interfere = delete_foo
    by_hand.run("fleeting")
    assert by_hand.code != 0
    assert f"tutorial.my.domain/v1 Foo {NAMESPACE}/fleeting: not found" in by_hand.output
    assert UPDATED not in by_hand.output


def test_a_missing_variable_is_named_before_anything_is_asked(proxy: RecordingProxy, by_hand: ByHand) -> None:
    done = run_playbook(PLAYBOOK, by_hand.environment, "-e", "foo_friend=jack", "-e", "foo_name=x")
    assert done.returncode != 0
    assert "missing required arguments: foo_namespace" in done.stdout + done.stderr
    assert proxy.seen == []
