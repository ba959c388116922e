"""The tutorial, told on a real API server: a Foo is happy exactly while its friend's Pod exists, in any namespace."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconcile_devcluster.binaries.finder import find_programs
from reconcile_devcluster.cluster import Cluster, ClusterSpec
from reconcile_devcluster.controlplane import foreground
from tests.support.operator_process import Kube, OperatorProcess, eventually, install_foo_crd, operator

pytestmark = pytest.mark.timeout(300)

_namespaces = itertools.count(1)


@pytest.fixture(scope="module")
def own_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Run a control plane for this module: Foos of other tests would be a backlog that these have to wait for."""
    with foreground(ClusterSpec(tmp_path_factory.mktemp("devcluster-tutorial")), find_programs) as running:
        install_foo_crd(running.api)
        yield running


@pytest.fixture(scope="module")
def kube(own_cluster: Cluster) -> Kube:
    return Kube(own_cluster.api)


@pytest.fixture(scope="module")
def runner_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runner-dir")


@pytest.fixture(scope="module")
def running(own_cluster: Cluster, runner_dir: Path) -> Iterator[OperatorProcess]:
    with operator(own_cluster.kubeconfig, flags=("--runner-dir", str(runner_dir))) as process:
        process.wait_ready()
        yield process


@pytest.fixture
def namespace(kube: Kube) -> str:
    name = f"tutorial-{next(_namespaces)}"
    kube.create_namespace(name)
    return name


def becomes(kube: Kube, namespace: str, name: str, happy: bool) -> None:
    eventually(lambda: kube.happy(namespace, name) is happy, f"{namespace}/{name} to have happy={happy}")


def test_the_tutorial_from_beginning_to_end(kube: Kube, running: OperatorProcess, namespace: str) -> None:
    kube.create_foo(namespace, "foo-01", "jack")
    kube.create_foo(namespace, "foo-02", "joe")
    becomes(kube, namespace, "foo-01", False)
    becomes(kube, namespace, "foo-02", False)
    kube.create_pod(namespace, "jack")
    becomes(kube, namespace, "foo-01", True)
    assert kube.happy(namespace, "foo-02") is False
    kube.patch_foo(namespace, "foo-02", "jack")
    becomes(kube, namespace, "foo-02", True)
    kube.delete_pod(namespace, "jack")
    becomes(kube, namespace, "foo-01", False)
    becomes(kube, namespace, "foo-02", False)
    for moment in ("reconciling", "reconciled", "pod linked found", "happy status updated"):
        assert running.messages(moment, name="foo-01", namespace=namespace), moment
    assert running.messages("trigger object issued an event"), running.text()


def test_the_friend_may_live_in_another_namespace(kube: Kube, running: OperatorProcess, namespace: str) -> None:
    kube.create_namespace(f"{namespace}-far")
    kube.create_foo(namespace, "foo", "far-friend")
    becomes(kube, namespace, "foo", False)
    kube.create_pod(f"{namespace}-far", "far-friend")
    becomes(kube, namespace, "foo", True)


@pytest.mark.exhaustive
def test_two_foos_in_two_namespaces_share_a_friend(kube: Kube, running: OperatorProcess, namespace: str) -> None:
    kube.create_namespace(f"{namespace}-b")
    for place in (namespace, f"{namespace}-b"):
        kube.create_foo(place, "foo", "shared")
        becomes(kube, place, "foo", False)
    kube.create_pod(namespace, "shared")
    for place in (namespace, f"{namespace}-b"):
        becomes(kube, place, "foo", True)


def test_one_of_two_pods_of_a_name_is_enough(kube: Kube, running: OperatorProcess, namespace: str) -> None:
    kube.create_namespace(f"{namespace}-b")
    for place in (namespace, f"{namespace}-b"):
        kube.create_pod(place, "twin")
    kube.create_foo(namespace, "foo", "twin")
    becomes(kube, namespace, "foo", True)
    before = running.runs("foo")
    kube.delete_pod(namespace, "twin")
    eventually(lambda: running.runs("foo") > before, "a run after the first twin is gone")
    assert kube.happy(namespace, "foo") is True
    kube.delete_pod(f"{namespace}-b", "twin")
    becomes(kube, namespace, "foo", False)


def test_a_foo_created_after_its_pod_is_happy_at_once(kube: Kube, running: OperatorProcess, namespace: str) -> None:
    kube.create_pod(namespace, "early")
    kube.create_foo(namespace, "foo", "early")
    becomes(kube, namespace, "foo", True)


def test_success_is_a_ready_condition_of_this_generation(kube: Kube, running: OperatorProcess, namespace: str) -> None:
    def is_ready(generation: int) -> bool:
        ready = kube.condition(namespace, "foo", "Ready")
        return ready.get("status") == "True" and ready.get("observedGeneration") == generation

    kube.create_foo(namespace, "foo", "nobody")
    eventually(lambda: is_ready(1), "Ready for the first generation")
    kube.patch_foo(namespace, "foo", "nobody-else")
    eventually(lambda: is_ready(2), "Ready for the second generation")
    assert kube.foo(namespace, "foo")["status"]["observedGeneration"] == 2


def test_what_concerns_nobody_starts_no_run(kube: Kube, running: OperatorProcess, namespace: str) -> None:
    kube.create_foo(namespace, "quiet", "wanted")
    becomes(kube, namespace, "quiet", False)
    kube.create_pod(namespace, "wanted")
    becomes(kube, namespace, "quiet", True)
    eventually(lambda: len(running.messages("reconciled", name="quiet")) == running.runs("quiet"), "the runs to end")
    before = running.runs("quiet")

    kube.create_pod(namespace, "unwanted")
    for round_number in range(5):
        conditions = [{"type": "Ready", "status": "False", "reason": f"Round{round_number}"}]
        kube.patch(f"/api/v1/namespaces/{namespace}/pods/wanted/status", {"status": {"conditions": conditions}})
    kube.patch(f"/apis/tutorial.my.domain/v1/namespaces/{namespace}/foos/quiet/status", {"status": {"happy": False}})

    # A later event of the same informers has been served, so the earlier ones have been looked at.
    kube.create_foo(namespace, "marker", "marker-friend")
    becomes(kube, namespace, "marker", False)
    kube.create_pod(namespace, "marker-friend")
    becomes(kube, namespace, "marker", True)
    assert running.runs("quiet") == before, running.text()
    assert running.runs("unwanted") == 0


def test_a_foo_deleted_in_the_middle_of_a_run_leaves_nothing(
    kube: Kube, running: OperatorProcess, runner_dir: Path, namespace: str
) -> None:
    kube.create_foo(namespace, "short-lived", "jack")
    running.wait_for_message("reconciling", name="short-lived", namespace=namespace)
    kube.delete_foo(namespace, "short-lived")
    running.wait_for_message("the object went away during its run", name="short-lived", namespace=namespace)
    assert not list(runner_dir.glob(f"**/{namespace}"))
    assert not [line for line in running.lines if line.get("level") == "error" and line.get("namespace") == namespace]
