"""The node of a devcluster: Pods run, are reached and looked into, and `down` leaves the machine as it was."""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconcile_devcluster import controlplane
from reconcile_devcluster.api import ApiServer, KubeObject
from reconcile_devcluster.binaries.finder import find_kubectl, find_programs
from reconcile_devcluster.cluster import Cluster, ClusterSpec
from reconcile_devcluster.controlplane import foreground
from reconcile_devcluster.errors import ApiRequestError
from reconcile_devcluster.layout import DataDirectory
from reconcile_devcluster.node import images
from reconcile_devcluster.node.files import NODE_NAME, NodeFiles
from reconcile_devcluster.node.pauseimage import WELL_KNOWN_NAME, write_archive
from reconcile_devcluster.node.requirements import find_system_programs
from tests.e2e.machine import Machine, differences, processes_with
from tests.e2e.pods import PODS, is_ready, nudge, pod, restarts, run, wait_for_pod
from tests.support.paths import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif("E2E_KUBECONFIG" in os.environ, reason="E2E_KUBECONFIG: the tests are for another cluster"),
]


FETCH_OWN_POD = """
import json, os, ssl, urllib.request
secrets = "/var/run/secrets/kubernetes.io/serviceaccount/"
address = "https://" + os.environ["KUBERNETES_SERVICE_HOST"] + ":" + os.environ["KUBERNETES_SERVICE_PORT"]
request = urllib.request.Request(address + "/apis/authentication.k8s.io/v1/selfsubjectreviews", method="POST")
request.data = json.dumps({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}).encode()
request.add_header("Content-Type", "application/json")
request.add_header("Authorization", "Bearer " + open(secrets + "token").read())
answer = urllib.request.urlopen(request, context=ssl.create_default_context(cafile=secrets + "ca.crt"))
print(json.load(answer)["status"]["userInfo"]["username"])
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Run a devcluster with a node, in a directory of its own: these tests are about it, not about what is deployed."""
    with foreground(ClusterSpec(tmp_path_factory.mktemp("devcluster-node"), node=True), find_programs) as running:
        yield running


@pytest.fixture(scope="module")
def kubectl(cluster: Cluster) -> list[str]:
    """Command line of kubectl for the cluster."""
    return [str(find_kubectl()), f"--kubeconfig={cluster.kubeconfig}"]


def log_of(api: ApiServer, name: str) -> str:
    status, text = api.request("GET", f"{PODS}/{name}/log")
    assert status == 200, text
    return text.decode()


def test_a_pod_reaches_the_api_server_through_its_service_with_its_own_token(cluster: Cluster) -> None:
    cluster.api.call("POST", PODS, pod("asks", ["python3", "-c", FETCH_OWN_POD]))
    wait_for_pod(cluster.api, "asks", lambda found: restarts(found) > 0)
    assert "system:serviceaccount:default:default" in log_of(cluster.api, "asks")


def test_a_service_leads_to_its_pod_from_another_pod_and_from_itself(cluster: Cluster, kubectl: list[str]) -> None:
    serves = run(cluster.api, pod("serves", ["python3", "-m", "http.server", "8080"], readinessProbe=probe(8080)))
    body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "serves"}}
    service = cluster.api.call(
        "POST",
        "/api/v1/namespaces/default/services",
        {**body, "spec": {"selector": {"app": "serves"}, "ports": [{"port": 80, "targetPort": 8080}]}},
    )
    run(cluster.api, pod("visits", ["sleep", "infinity"]))
    program = f"""
import time, urllib.request
for _ in range(100):
    try:
        print(urllib.request.urlopen("http://{service["spec"]["clusterIP"]}/", timeout=5).status)
        break
    except OSError:
        time.sleep(0.1)
"""
    for name in ("visits", "serves"):
        assert printed([*kubectl, "exec", name, "--", "python3", "-c", program]).strip() == "200"
    status, _ = cluster.api.request("GET", "/api/v1/namespaces/default/services/serves:80/proxy/")
    assert status == 200
    assert get(serves["status"]["podIP"], 8080) == 200


def test_pods_can_be_looked_into(cluster: Cluster, kubectl: list[str]) -> None:
    run(cluster.api, pod("greets", ["sh", "-c", "echo hello; exec cat"], stdin=True))
    assert log_of(cluster.api, "greets") == "hello\n"
    assert printed([*kubectl, "exec", "greets", "--", "id", "-u"]).strip() == "65535"
    attach = [*kubectl, "attach", "--quiet", "--stdin", "greets"]
    with subprocess.Popen(attach, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as attached:
        assert attached.stdin is not None
        assert attached.stdout is not None
        attached.stdin.write("who is there?\n")
        attached.stdin.flush()
        assert attached.stdout.readline() == "who is there?\n"
        attached.kill()


def test_ports_of_pods_can_be_forwarded(cluster: Cluster, kubectl: list[str]) -> None:
    run(cluster.api, pod("forwards", ["python3", "-m", "http.server", "8081"], readinessProbe=probe(8081)))
    command = [*kubectl, "port-forward", "pod/forwards", ":8081"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as forward:
        assert forward.stdout is not None
        found = re.fullmatch(r"Forwarding from 127\.0\.0\.1:(\d+) -> 8081\n", forward.stdout.readline())
        assert found is not None
        assert get("127.0.0.1", int(found.group(1))) == 200
        forward.kill()


def test_a_crashed_container_starts_again_at_once_when_its_pod_is_changed(cluster: Cluster) -> None:
    """With the kubelet's usual back-off (10, 20, 40, 80 s) the fifth start would take longer than this waits."""
    cluster.api.call("POST", PODS, pod("crashes", ["sh", "-c", "exit 1"]))

    def has_restarted(found: KubeObject) -> bool:
        nudge(cluster.api, "crashes")
        return restarts(found) >= 5

    wait_for_pod(cluster.api, "crashes", has_restarted, timeout=120)


def test_pods_run_on_while_the_kubelet_is_restarted(cluster: Cluster) -> None:
    before = run(cluster.api, pod("stays"))
    kubelet = cluster.state.processes["kubelet"]
    cluster.restart_kubelet()
    assert cluster.state.processes["kubelet"] != kubelet
    after = wait_for_pod(cluster.api, "stays", is_ready)
    assert after["status"]["containerStatuses"] == before["status"]["containerStatuses"]
    run(cluster.api, pod("comes-later"))


def test_an_archive_can_be_loaded_and_run(cluster: Cluster, tmp_path: Path) -> None:
    programs = find_programs(ClusterSpec(tmp_path, node=True))
    assert programs.node is not None
    archive = tmp_path / "loaded.tar"
    write_archive(programs.node.pause, archive, ["localhost/loaded:1"])
    names = images.load(NodeFiles(cluster.directory), find_system_programs().ctr, str(archive))
    assert names == ["localhost/loaded:1"]
    run(cluster.api, pod("loaded", image="localhost/loaded:1", imagePullPolicy="Never"))


def test_the_well_known_pause_image_is_there(cluster: Cluster) -> None:
    run(cluster.api, pod("well-known", image=WELL_KNOWN_NAME))


def test_pod_security_is_enforced(cluster: Cluster) -> None:
    metadata = {"name": "strict", "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}
    cluster.api.call("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    with pytest.raises(ApiRequestError, match='violates PodSecurity "restricted'):
        cluster.api.call("POST", "/api/v1/namespaces/strict/pods", pod("loose"))


def test_a_second_node_runs_beside_and_down_leaves_nothing(cluster: Cluster, tmp_path: Path) -> None:
    directory = tmp_path / "second"
    before = Machine.now(ours_of(directory))
    state = controlplane.up(ClusterSpec(directory, node=True), find_programs)
    namespaces = namespaces_of(directory)
    try:
        assert state.server != cluster.server
        api = ApiServer.from_kubeconfig(DataDirectory(directory).kubeconfig)
        run(api, pod("runs-on", ["sleep", "infinity"]))
        seen = " ".join(differences(before, Machine.now(ours_of(directory))))
        assert all(f"+ {field}: " in seen for field in ("links", "routes", "control_groups"))
        assert len(processes_with(namespaces["mnt"])) >= 4
    finally:
        assert controlplane.down(directory)
    assert_nothing_left(before, directory, namespaces)
    assert cluster.api.is_ready()
    assert is_ready(cluster.api.call("GET", f"/api/v1/nodes/{NODE_NAME}"))


@pytest.fixture
def covered_directory() -> Iterator[Path]:
    """Give a directory below one that the node has for itself; its name has a space, too."""
    with tempfile.TemporaryDirectory(prefix="devcluster ", dir="/run") as directory:
        yield Path(directory)


def test_a_node_that_was_taken_down_comes_back_with_its_pods(covered_directory: Path) -> None:
    spec = ClusterSpec(covered_directory, node=True)
    try:
        controlplane.up(spec, find_programs)
        api = ApiServer.from_kubeconfig(DataDirectory(spec.directory).kubeconfig)
        run(api, pod("returns"))
        controlplane.down(spec.directory)
        controlplane.up(spec, find_programs)
        wait_for_pod(api, "returns", lambda found: is_ready(found) and restarts(found) == 1)
    finally:
        controlplane.down(spec.directory)


@pytest.mark.parametrize("victim", ["starter", "namespaces"])
def test_down_cleans_up_after_a_kill(victim: str, tmp_path: Path) -> None:
    directory = tmp_path / "killed"
    before = Machine.now(ours_of(directory))
    program = f"""
import pathlib, time
from reconcile_devcluster.binaries.finder import find_kubectl, find_programs
from reconcile_devcluster.cluster import ClusterSpec
from reconcile_devcluster.controlplane import foreground
with foreground(ClusterSpec(pathlib.Path({str(directory)!r}), node=True), find_programs):
    print("started", flush=True)
    time.sleep(600)
"""
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == "started\n"
        namespaces = namespaces_of(directory)
        api = ApiServer.from_kubeconfig(DataDirectory(directory).kubeconfig)
        run(api, pod("runs-on", ["sleep", "infinity"]))
        if victim == "namespaces":
            os.kill(NodeFiles(DataDirectory(directory)).read_pid(), signal.SIGKILL)
        starter.kill()
    controlplane.down(directory)
    assert_nothing_left(before, directory, namespaces)


def probe(port: int) -> dict[str, object]:
    return {"httpGet": {"port": port}, "periodSeconds": 1}


def get(address: str, port: int) -> int:
    """Ask a web server, from this machine; returns the status code."""
    connection = http.client.HTTPConnection(address, port, timeout=30)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status
    finally:
        connection.close()


def printed(command: list[str]) -> str:
    """Run a program; returns what it printed."""
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def ours_of(directory: Path) -> tuple[str, ...]:
    files = NodeFiles(DataDirectory(directory))
    return files.identity, files.host_link, str(directory)


def namespaces_of(directory: Path) -> dict[str, str]:
    """Namespaces of a node, by kind, as their links read."""
    process = Path("/proc", str(NodeFiles(DataDirectory(directory)).read_pid()), "ns")
    return {kind: str((process / kind).readlink()) for kind in ("mnt", "net", "pid")}


def assert_nothing_left(before: Machine, directory: Path, namespaces: dict[str, str]) -> None:
    assert [processes_with(one) for one in namespaces.values()] == [[], [], []]
    assert differences(before, Machine.now(ours_of(directory))) == []
