"""`config/`: what kustomize makes of it, and what a real API server and its controllers say to that."""

from __future__ import annotations

import http
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconcile_devcluster.binaries.finder import find_kubectl
from reconcile_devcluster.cluster import Cluster
from reconcile_devcluster.errors import ApiRequestError
from reconcile_runner.options import Options
from tests.support.kustomized import MANAGER, NAMESPACE, USER, Kubectl, objects_of, of_kind, renamed_copy, the
from tests.support.operator_process import REPOSITORY, eventually
from tools import manifests

KubeObject = dict[str, Any]

pytestmark = pytest.mark.timeout(300)

PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
SHUTDOWN_MARGIN = 10.0
"""Seconds from the end of the drain to the end of the process: runs are ended, the Lease is released, servers stop."""


@pytest.fixture(scope="module")
def program() -> Path:
    return find_kubectl()


@pytest.fixture(scope="module")
def default(program: Path) -> list[KubeObject]:
    return objects_of(program, "default")


@pytest.fixture(scope="module")
def pod_spec(default: list[KubeObject]) -> KubeObject:
    spec: KubeObject = the(default, "Deployment")["spec"]["template"]["spec"]
    return spec


@pytest.fixture(scope="module")
def installed(controllers_cluster: Cluster, program: Path) -> Iterator[Kubectl]:
    kubectl = Kubectl(program, controllers_cluster.kubeconfig)
    kubectl.must("apply", "--validate=strict", "-k", "config/default")
    yield kubectl
    kubectl.must("delete", "-k", "config/default")


def test_install_yaml_is_what_config_default_says(program: Path) -> None:
    wanted = manifests.parse(manifests.install_text(program))
    assert manifests.parse(manifests.INSTALL.read_text()) == wanted, "run `make manifests`"


def test_install_yaml_is_the_same_installation(installed: Kubectl) -> None:
    assert not installed.must("diff", "-f", "dist/install.yaml")
    assert "foo-operator-controller-manager" in installed.must(
        "apply", "--dry-run=server", "--validate=strict", "-f", "dist/install.yaml"
    )


def test_crds_alone_can_be_applied_from_their_directory(installed: Kubectl) -> None:
    assert "foos.tutorial.my.domain" in installed.must("apply", "--dry-run=server", "-f", "crds")


def test_restricted_pod_security_accepts_both_replicas(installed: Kubectl, controllers_cluster: Cluster) -> None:
    api = controllers_cluster.api
    eventually(lambda: len(api.call("GET", PODS)["items"]) == 2, "both Pods are created")
    events = api.call("GET", f"/api/v1/namespaces/{NAMESPACE}/events")["items"]
    assert not [event["message"] for event in events if event["reason"] == "FailedCreate"]


@pytest.mark.parametrize(
    "loosened",
    [
        pytest.param({"readOnlyRootFilesystem": True}, id="capabilities kept"),
        pytest.param({"allowPrivilegeEscalation": True, "capabilities": {"drop": ["ALL"]}}, id="may gain privileges"),
    ],
)
def test_a_pod_that_could_do_more_is_refused_there(
    installed: Kubectl, controllers_cluster: Cluster, pod_spec: KubeObject, loosened: KubeObject
) -> None:
    container = pod_spec["containers"][0] | {"securityContext": loosened}
    pod = {"metadata": {"name": "loose"}, "spec": pod_spec | {"containers": [container]}}
    with pytest.raises(ApiRequestError, match='violates PodSecurity "restricted') as caught:
        controllers_cluster.api.call("POST", f"{PODS}?dryRun=All", pod)
    assert caught.value.status == http.HTTPStatus.FORBIDDEN


def test_no_user_is_named_so_that_a_cluster_may_choose_one(pod_spec: KubeObject) -> None:
    contexts = [pod_spec["securityContext"], *(one["securityContext"] for one in pod_spec["containers"])]
    assert not [key for context in contexts for key in context if key in {"runAsUser", "runAsGroup", "fsGroup"}]


def test_what_the_operator_writes_is_in_memory_and_nothing_else_can_be_written(pod_spec: KubeObject) -> None:
    [container] = pod_spec["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    volumes = {volume["name"]: volume for volume in pod_spec["volumes"]}
    writable = {it["mountPath"]: volumes[it["name"]] for it in container["volumeMounts"] if not it.get("readOnly")}
    assert sorted(writable) == ["/dev/shm", "/tmp"]
    assert all(volume["emptyDir"]["medium"] == "Memory" for volume in writable.values())


def test_what_is_in_memory_fits_into_the_limit(pod_spec: KubeObject) -> None:
    volumes = {volume["name"]: volume.get("emptyDir", {}) for volume in pod_spec["volumes"]}
    runs = mebibytes(volumes["runs"]["sizeLimit"])
    # Half is free when the artifacts (--max-artifacts-size, 128Mi) of a container that was killed are still there.
    assert runs - 128 >= 256
    assert runs + mebibytes(volumes["tmp"]["sizeLimit"]) < mebibytes(
        pod_spec["containers"][0]["resources"]["limits"]["memory"]
    )


def mebibytes(quantity: str) -> int:
    number, unit = re.fullmatch(r"(\d+)(Mi|Gi)", quantity).groups()  # type: ignore[union-attr]
    return int(number) * {"Mi": 1, "Gi": 1024}[unit]


def test_the_grace_period_is_longer_than_the_drain(pod_spec: KubeObject) -> None:
    drain = Options().graceful_shutdown_timeout
    assert not [argument for argument in pod_spec["containers"][0]["args"] if "graceful" in argument]
    assert pod_spec["terminationGracePeriodSeconds"] >= drain + SHUTDOWN_MARGIN


def test_the_service_and_the_policies_mean_the_pods_of_the_deployment(default: list[KubeObject]) -> None:
    deployment = the(default, "Deployment")["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    selectors = [
        deployment["selector"]["matchLabels"],
        the(default, "Service")["spec"]["selector"],
        the(default, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        the(default, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        *(one["labelSelector"]["matchLabels"] for one in deployment["template"]["spec"]["topologySpreadConstraints"]),
    ]
    assert all(selector == labels for selector in selectors)
    ports = {port["name"]: port["containerPort"] for port in deployment["template"]["spec"]["containers"][0]["ports"]}
    assert ports == {"metrics": 8443, "health": 6789}
    assert [port["targetPort"] for port in the(default, "Service")["spec"]["ports"]] == ["metrics"]


def test_no_right_is_a_wildcard_and_none_is_for_secrets(default: list[KubeObject]) -> None:
    rules = [rule for role in of_kind(default, "Role", "ClusterRole") for rule in role["rules"]]
    assert len(rules) > 5
    words = {word for rule in rules for values in rule.values() for word in values}
    assert not words & {"*", "secrets", "escalate", "impersonate", "bind"}


@pytest.mark.parametrize(
    ("verb", "group", "resource", "namespace", "allowed"),
    [
        pytest.param("watch", "tutorial.my.domain", "foos", None, True, id="watch foos"),
        pytest.param("patch", "tutorial.my.domain", "foos/status", "default", True, id="patch their status"),
        pytest.param("list", "", "pods", None, True, id="list pods"),
        pytest.param("create", "", "events", "default", True, id="create events"),
        pytest.param("update", "coordination.k8s.io", "leases/foo-operator", NAMESPACE, True, id="hold the Lease"),
        pytest.param("create", "authentication.k8s.io", "tokenreviews", None, True, id="ask who scrapes"),
        pytest.param("create", "authorization.k8s.io", "subjectaccessreviews", None, True, id="ask who may"),
        pytest.param("get", "", "secrets", NAMESPACE, False, id="no secret of its own namespace"),
        pytest.param("list", "", "secrets", None, False, id="no secret anywhere"),
        pytest.param("delete", "", "pods", "default", False, id="no pod deleted"),
        pytest.param("create", "", "pods/exec", "default", False, id="no command in a pod"),
        pytest.param("delete", "tutorial.my.domain", "foos", "default", False, id="no foo deleted"),
        pytest.param("update", "coordination.k8s.io", "leases/another", NAMESPACE, False, id="no other Lease"),
        pytest.param("update", "coordination.k8s.io", "leases/foo-operator", "default", False, id="no Lease elsewhere"),
        pytest.param("get", "apps", "deployments", NAMESPACE, False, id="no other group"),
        pytest.param("create", "rbac.authorization.k8s.io", "clusterroles", None, False, id="no right for others"),
    ],
)
def test_the_service_account_may_do_what_it_needs_and_no_more(
    installed: Kubectl,
    controllers_cluster: Cluster,
    verb: str,
    group: str,
    resource: str,
    namespace: str | None,
    allowed: bool,
) -> None:
    kind, _, rest = resource.partition("/")
    # Of a Lease what follows is its name, of other kinds a subresource.
    further = {"name" if kind == "leases" else "subresource": rest}
    attributes = {"verb": verb, "group": group, "resource": kind, "namespace": namespace, **further}
    assert may(controllers_cluster, USER, {"resourceAttributes": attributes}) is allowed


def may(cluster: Cluster, user: str, attributes: KubeObject) -> bool:
    spec = {"user": user, "groups": ["system:authenticated"], **attributes}
    review = cluster.api.call("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", {"spec": spec})
    return bool(review["status"]["allowed"])


@pytest.mark.parametrize(
    ("role", "verbs"),
    [("view", {"get"}), ("edit", {"get", "patch"}), ("admin", {"get", "patch"})],
    ids=["view", "edit", "admin"],
)
def test_foos_belong_to_the_roles_that_people_have_already(
    installed: Kubectl, controllers_cluster: Cluster, role: str, verbs: set[str]
) -> None:
    path = f"/apis/rbac.authorization.k8s.io/v1/clusterroles/{role}"

    def granted() -> set[str]:
        rules = controllers_cluster.api.call("GET", path)["rules"]
        return {verb for rule in rules if "foos" in rule.get("resources", ()) for verb in rule["verbs"]}

    eventually(lambda: verbs <= granted(), f"the role {role} holds what foos need")
    assert ("patch" in granted()) is ("patch" in verbs)


def test_an_operator_of_another_name_has_it_everywhere(program: Path, tmp_path: Path) -> None:
    copy = renamed_copy(tmp_path, "shop-operator")
    built = [manifests.build(program, copy / name) for name in ("default", "prometheus")]
    files = manifests.bundle_files(program, copy)
    text = "\n".join([*built, *files, *files.values()])
    assert "foo-operator" not in text
    [deployment] = of_kind(manifests.parse(built[0]), "Deployment")
    assert deployment["metadata"]["name"] == "shop-operator-controller-manager"
    assert deployment["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/name"] == "shop-operator"
    assert "manifests/shop-operator.clusterserviceversion.yaml" in files


def test_the_image_is_named_in_one_place(default: list[KubeObject]) -> None:
    named = [path for path in (REPOSITORY / "config").rglob("*.yaml") if "localhost/foo-operator" in path.read_text()]
    assert [path.relative_to(REPOSITORY).as_posix() for path in named] == ["config/operator/kustomization.yaml"]
    container = the(default, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    assert (container["name"], container["image"]) == ("manager", "localhost/foo-operator:dev")
    assert the(default, "Deployment")["metadata"]["name"] == MANAGER
