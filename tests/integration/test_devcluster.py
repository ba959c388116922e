"""devcluster's promises, on real etcd and kube-apiserver."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconcile_devcluster import controlplane, crds, state
from reconcile_devcluster.api import ApiServer
from reconcile_devcluster.binaries.finder import find_programs
from reconcile_devcluster.cluster import ClusterSpec
from reconcile_devcluster.controlplane import foreground
from reconcile_devcluster.errors import ApiRequestError, DevclusterError, StartError
from reconcile_devcluster.layout import DataDirectory
from reconcile_devcluster.process import ProcessIdentity, wait
from tests.support.controlplane import compact, service_account_token, stop_api_server
from tests.support.paths import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconcile_devcluster.api import KubeObject
    from reconcile_devcluster.cluster import Cluster

NAMESPACES = "/api/v1/namespaces"
CONFIG_MAPS = f"{NAMESPACES}/default/configmaps"


def _devcluster(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "reconcile_devcluster", *arguments]
    return subprocess.run(
        command, cwd=REPOSITORY, env=os.environ | variables, capture_output=True, text=True, timeout=150, check=False
    )


@contextmanager
def _background(directory: Path, *options: str, **variables: str) -> Iterator[ApiServer]:
    """Start a control plane by `up`, and stop it by `down` whatever happens."""
    try:
        answer = _devcluster("up", "--dir", str(directory), *options, **variables)
        assert answer.returncode == 0, answer.stderr
        yield ApiServer.from_kubeconfig(DataDirectory(directory).kubeconfig)
    finally:
        assert _devcluster("down", "--dir", str(directory)).returncode == 0


def _processes(directory: Path) -> dict[str, ProcessIdentity]:
    found = state.load(DataDirectory(directory).state)
    assert found is not None
    return found.processes


def _named(kind: str, name: str) -> KubeObject:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}}


def test_the_api_server_serves_the_pinned_version_with_rbac(cluster: Cluster) -> None:
    assert cluster.api.call("GET", "/version")["gitVersion"].startswith("v1.")
    anonymous = ApiServer(cluster.api.host, cluster.api.port, cluster.api.tls, token=None)
    with pytest.raises(ApiRequestError) as caught:
        anonymous.call("GET", NAMESPACES)
    assert caught.value.status == 403


def test_a_client_that_trusts_another_ca_is_kept_out(cluster: Cluster) -> None:
    stranger = ApiServer(cluster.api.host, cluster.api.port, ssl.create_default_context(), cluster.api.token)
    with pytest.raises(DevclusterError, match="certificate verify failed"):
        stranger.call("GET", "/version")


def test_a_wrong_token_is_refused(cluster: Cluster) -> None:
    stranger = ApiServer(cluster.api.host, cluster.api.port, cluster.api.tls, token="wrong")
    with pytest.raises(ApiRequestError) as caught:
        stranger.call("GET", NAMESPACES)
    assert caught.value.status == 401


def test_a_new_user_may_do_what_rbac_grants_and_nothing_else(cluster: Cluster) -> None:
    alice = ApiServer.from_kubeconfig(cluster.create_user("alice", ["readers"]))
    with pytest.raises(ApiRequestError, match='User "alice" cannot list') as caught:
        alice.call("GET", CONFIG_MAPS)
    assert caught.value.status == 403
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    role = {"rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}]}
    binding = {
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "readers"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "readers"}],
    }
    for kind, path, content in (
        ("ClusterRole", "clusterroles", role),
        ("ClusterRoleBinding", "clusterrolebindings", binding),
    ):
        named = _named(kind, "readers") | {"apiVersion": "rbac.authorization.k8s.io/v1"}
        cluster.api.call("POST", f"{rbac}/{path}", named | content)
    deadline = time.monotonic() + 30
    while not _may_list(alice):
        assert time.monotonic() < deadline, "the binding never took effect"
    with pytest.raises(ApiRequestError, match="cannot create"):
        alice.call("POST", CONFIG_MAPS, _named("ConfigMap", "x"))


def _may_list(user: ApiServer) -> bool:
    return user.request("GET", CONFIG_MAPS)[0] == 200


def test_a_service_account_gets_a_token_that_the_api_server_accepts(cluster: Cluster) -> None:
    token = service_account_token(cluster.api, "default", "robot")
    robot = ApiServer(cluster.api.host, cluster.api.port, cluster.api.tls, token)
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    answer = robot.call("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", review)
    assert answer["status"]["userInfo"]["username"] == "system:serviceaccount:default:robot"


def test_a_pod_can_be_created_without_controllers(cluster: Cluster) -> None:
    pod = _named("Pod", "alone") | {"spec": {"containers": [{"name": "c", "image": "none"}]}}
    assert cluster.api.call("POST", f"{NAMESPACES}/default/pods", pod)["status"]["phase"] == "Pending"
    cluster.api.call("DELETE", f"{NAMESPACES}/default/pods/alone")


def test_crds_are_established_when_install_returns(cluster: Cluster) -> None:
    assert crds.install(cluster.api, REPOSITORY / "crds") == ["foos.tutorial.my.domain"]
    assert crds.install(cluster.api, REPOSITORY / "crds") == ["foos.tutorial.my.domain"]
    assert cluster.api.call("GET", "/apis/tutorial.my.domain/v1/foos")["kind"] == "FooList"


@pytest.mark.exhaustive
def test_controllers_collect_garbage_and_empty_namespaces(controllers_cluster: Cluster) -> None:
    api = controllers_cluster.api
    api.call("POST", NAMESPACES, _named("Namespace", "busy"))
    maps = f"{NAMESPACES}/busy/configmaps"
    owner = api.call("POST", maps, _named("ConfigMap", "owner"))
    dependent = _named("ConfigMap", "dependent")
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    dependent["metadata"]["ownerReferences"] = [reference]
    api.call("POST", maps, dependent)
    api.call("DELETE", f"{maps}/owner")
    _wait_until_gone(api, f"{maps}/dependent")
    api.call("DELETE", f"{NAMESPACES}/busy")
    _wait_until_gone(api, f"{NAMESPACES}/busy")


def _wait_until_gone(api: ApiServer, path: str) -> None:
    deadline = time.monotonic() + 45
    while api.request("GET", path)[0] != 404:
        assert time.monotonic() < deadline, f"{path} is still there"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def background(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Run `up` with a stranger's KUBECONFIG set, in a directory whose path is too long for a socket."""
    base = tmp_path_factory.mktemp("background")
    (base / "stranger").write_text("not even a kubeconfig")
    directory = base / ("d" * 100) / ("e" * 100)
    with _background(directory, KUBECONFIG=str(base / "stranger")):
        yield directory
    assert (base / "stranger").read_text() == "not even a kubeconfig"


def test_up_is_idempotent(background: Path) -> None:
    processes = _processes(background)
    assert _devcluster("up", "--dir", str(background)).returncode == 0
    assert _processes(background) == processes


def test_a_lost_kubeconfig_is_written_again(background: Path) -> None:
    DataDirectory(background).kubeconfig.unlink()
    assert _devcluster("up", "--dir", str(background)).returncode == 0
    assert ApiServer.from_kubeconfig(DataDirectory(background).kubeconfig).is_ready()


def test_status_and_kubeconfig_answer_on_stdout(background: Path) -> None:
    report = _devcluster("status", "--dir", str(background))
    assert report.returncode == 0
    assert "(ready)" in report.stdout
    path = _devcluster("kubeconfig", "--dir", str(background))
    assert (path.stdout, path.stderr) == (f"{background}/kubeconfig\n", "")


def test_two_run_side_by_side_and_know_nothing_of_each_other(cluster: Cluster, background: Path) -> None:
    other = ApiServer.from_kubeconfig(DataDirectory(background).kubeconfig)
    assert other.port != cluster.api.port
    other.call("POST", CONFIG_MAPS, _named("ConfigMap", "only-there"))
    assert cluster.api.request("GET", f"{CONFIG_MAPS}/only-there")[0] == 404
    with pytest.raises(DevclusterError, match="certificate verify failed"):
        ApiServer(cluster.api.host, cluster.api.port, other.tls, other.token).call("GET", "/version")


def test_down_leaves_no_process_and_a_restart_keeps_data_port_and_credentials(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with _background(tmp_path / "data") as before:
        before.call("POST", CONFIG_MAPS, _named("ConfigMap", "kept"))
        processes = _processes(tmp_path / "data")
    assert not any(identity.is_alive() for identity in processes.values())
    assert _devcluster("status", "--dir", str(tmp_path / "data")).returncode == 1
    assert _devcluster("down", "--dir", str(tmp_path / "data")).returncode == 0
    started = time.monotonic()
    with _background(tmp_path / "data"):
        seconds = time.monotonic() - started
        assert before.call("GET", f"{CONFIG_MAPS}/kept")["metadata"]["name"] == "kept"
    with capsys.disabled():
        sys.stdout.write(f"\nsecond start to serving: {seconds:.1f} s\n")


@pytest.mark.exhaustive
def test_up_recovers_from_killed_programs(tmp_path: Path) -> None:
    with _background(tmp_path / "data") as api:
        api.call("POST", CONFIG_MAPS, _named("ConfigMap", "kept"))
        for victim in ("etcd", "kube-apiserver"):
            killed = _processes(tmp_path / "data")
            os.kill(killed[victim].pid, signal.SIGKILL)
            assert wait(killed[victim], timeout=30)
            assert _devcluster("status", "--dir", str(tmp_path / "data")).returncode == 1
            assert _devcluster("up", "--dir", str(tmp_path / "data")).returncode == 0
            assert not any(identity.is_alive() for identity in killed.values())
            assert api.call("GET", f"{CONFIG_MAPS}/kept")["metadata"]["name"] == "kept"


def test_two_starts_at_once_start_one(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "reconcile_devcluster", "up", "--dir", str(tmp_path / "data")]
    try:
        starts = [subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True) for _ in range(2)]
        said = [start.communicate(timeout=50)[1] for start in starts]
        assert [start.returncode for start in starts] == [0, 0], said
        assert len({text.splitlines()[-2] for text in said}) == 1
        assert sum("kube-apiserver: /" in text for text in said) == 1
    finally:
        _devcluster("down", "--dir", str(tmp_path / "data"))


def test_the_state_of_an_earlier_boot_harms_nobody(tmp_path: Path) -> None:
    """Pids of a state file may belong to anybody after a reboot: here they are ours, and we must survive."""
    directory = DataDirectory(tmp_path / "data")
    directory.root.mkdir()
    ours = {"pid": os.getpid(), "start_ticks": 1, "boot_id": "an-earlier-boot"}
    stale = {"port": 1, "controllers": False, "owner": None, "processes": {"etcd": ours, "kube-apiserver": ours}}
    directory.state.write_text(json.dumps(stale))
    assert "nothing runs" in _devcluster("status", "--dir", str(tmp_path / "data")).stdout
    with _background(tmp_path / "data") as api:
        assert api.is_ready()


@pytest.mark.exhaustive
def test_controllers_can_be_added_to_a_running_control_plane(tmp_path: Path) -> None:
    with _background(tmp_path / "data") as api:
        api.call("POST", CONFIG_MAPS, _named("ConfigMap", "kept"))
        with _background(tmp_path / "data", "--controllers") as more:
            assert list(_processes(tmp_path / "data")) == ["etcd", "kube-apiserver", "kube-controller-manager"]
            assert more.call("GET", f"{CONFIG_MAPS}/kept")["metadata"]["name"] == "kept"


def test_a_foreground_control_plane_is_in_use_by_its_owner_alone(own_cluster: Cluster) -> None:
    spec = ClusterSpec(own_cluster.directory.root)
    with pytest.raises(DevclusterError, match=f"in use by process {os.getpid()}"), foreground(spec, find_programs):
        pass
    assert controlplane.up(spec, find_programs) == own_cluster.state
    assert own_cluster.api.is_ready()


@pytest.mark.exhaustive
def test_the_api_server_can_be_stopped_and_started_on_its_port(own_cluster: Cluster) -> None:
    api = own_cluster.api
    stop_api_server(own_cluster)
    assert not api.is_ready()
    assert own_cluster.failed_program() == "kube-apiserver"
    own_cluster.start_api_server()
    assert api.is_ready()
    assert own_cluster.failed_program() is None


@pytest.mark.exhaustive
def test_compaction_makes_old_resource_versions_expire(own_cluster: Cluster) -> None:
    api = own_cluster.api
    old = api.call("POST", CONFIG_MAPS, _named("ConfigMap", "a"))["metadata"]["resourceVersion"]
    api.call("POST", CONFIG_MAPS, _named("ConfigMap", "b"))
    assert compact(own_cluster.directory) > int(old)
    # Until it is started anew, the API server answers from the history in its watch cache.
    stop_api_server(own_cluster)
    own_cluster.start_api_server()
    status, answer = api.request("GET", f"{CONFIG_MAPS}?resourceVersion={old}&resourceVersionMatch=Exact")
    assert status == 410, answer


_FOREGROUND = """
import pathlib, sys
from reconcile_devcluster.binaries.finder import find_programs
from reconcile_devcluster.cluster import ClusterSpec
from reconcile_devcluster.controlplane import foreground
with foreground(ClusterSpec(pathlib.Path(sys.argv[1])), find_programs):
    print("serving", flush=True)
    sys.stdin.read()
"""


@pytest.mark.exhaustive
def test_nothing_is_left_when_the_starter_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _FOREGROUND, str(tmp_path / "data")]
    starter = subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert starter.stdout is not None
    assert starter.stdout.readline() == b"serving\n"
    processes = _processes(tmp_path / "data")
    assert all(identity.is_alive() for identity in processes.values())
    starter.kill()
    for identity in processes.values():
        assert wait(identity, timeout=30)
    starter.communicate()
    with foreground(ClusterSpec(tmp_path / "data"), find_programs) as again:
        assert again.api.is_ready()


def test_a_program_that_does_not_start_is_reported_with_its_log(tmp_path: Path) -> None:
    spec = ClusterSpec(tmp_path / "data", api_server_flags=("--no-such-flag",))
    with pytest.raises(StartError, match="unknown flag: --no-such-flag") as caught, foreground(spec, find_programs):
        pass
    assert "kube-apiserver ended with exit code 1 instead of serving" in str(caught.value)
    assert controlplane.find(tmp_path / "data") is None
    assert not DataDirectory(tmp_path / "data").state.exists()
