"""A watches file as people wrote it for ansible-operator, on a real API server: one operator, a kind for each row."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconcile_devcluster import crds
from reconcile_devcluster.api import ApiServer
from reconcile_devcluster.cluster import Cluster
from tests.support.lifecycle import definition
from tests.support.operator_process import OperatorProcess, eventually, operator

pytestmark = pytest.mark.timeout(300)

NAMESPACES = ("compat-one", "compat-two")
TASKS = """
- name: Keep what was given
  ansible.builtin.copy:
    content: "{{ vars[variable] | to_json }}"
    dest: "{{ results }}/{{ here | default('') }}{{ ansible_operator_meta.namespace }}-{{ ansible_operator_meta.name }}"
"""


def watches(directory: Path) -> list[dict[str, Any]]:
    """Return the entries. ``variable`` names the extra var that a run keeps for the test to read."""

    def entry(kind: str, group: str, variable: str, **fields: Any) -> dict[str, Any]:
        given = {"results": str(directory / "results"), "variable": variable, **fields.pop("vars", {})}
        return {"version": "v1", "group": group, "kind": kind, "role": "keep", "vars": given, **fields}

    return [
        entry("Widget", "one.compat.test", "_one_compat_test_widget_spec", role="my.util.keep"),
        entry("Widget", "two-things.compat.test", "_two_things_compat_test_widget_spec", vars={"here": "two-"}),
        entry(
            "ConfigMap",
            "",
            "__configmap",
            manageStatus=False,
            selector={"matchLabels": {"keep": "me"}},
            finalizer={"name": "compat.test/cleanup", "vars": {"here": "gone-"}},
        ),
        entry("Raw", "one.compat.test", "fooBar", snakeCaseParameters=False, watchAnnotationsChanges=True),
    ]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("compat")
    for role in (made / "roles" / "keep", made / "collections/ansible_collections/my/util/roles/keep"):
        (role / "tasks").mkdir(parents=True)
        (role / "tasks" / "main.yml").write_text(TASKS)
    (made / "results").mkdir()
    text = yaml.safe_dump(watches(made)).replace(str(made), "${COMPAT_DIRECTORY}")
    (made / "watches.yaml").write_text(text)
    return made


@pytest.fixture(scope="module")
def api(cluster: Cluster, directory: Path) -> ApiServer:
    (directory / "crds").mkdir()
    kinds = [("Widget", "one.compat.test"), ("Widget", "two-things.compat.test"), ("Raw", "one.compat.test")]
    for kind, group in kinds:
        (directory / "crds" / f"{kind}.{group}.yaml").write_text(yaml.safe_dump(definition(kind, group)))
    crds.install(cluster.api, directory / "crds")
    for namespace in (*NAMESPACES, "compat-elsewhere"):
        cluster.api.call("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
    return cluster.api


@pytest.fixture(scope="module")
def running(cluster: Cluster, api: ApiServer, directory: Path) -> Iterator[OperatorProcess]:
    env = {
        "ANSIBLE_GATHERING": "explicit",
        "COMPAT_DIRECTORY": str(directory),
        "WATCH_NAMESPACE": ", ".join(NAMESPACES),
        "ANSIBLE_ROLES_PATH": str(directory / "roles"),
        "MAX_CONCURRENT_RECONCILES_WIDGET_TWO-THINGS_COMPAT_TEST": "1",
    }
    flags = ["--ansible-collections-path", str(directory / "collections"), "--runner-dir", str(directory / "runs")]
    with operator(cluster.kubeconfig, directory / "watches.yaml", flags=flags, env=env) as process:
        process.wait_ready()
        yield process


def create(api: ApiServer, kind: str, group: str, namespace: str, name: str, **fields: Any) -> str:
    """Create an object and return its path."""
    prefix = f"/apis/{group}/v1" if group else "/api/v1"
    path = f"{prefix}/namespaces/{namespace}/{kind.lower()}s"
    metadata = {"name": name, **fields.pop("metadata", {})}
    body = {"apiVersion": f"{group}/v1" if group else "v1", "kind": kind, "metadata": metadata, **fields}
    api.call("POST", path, body)
    return f"{path}/{name}"


def kept(directory: Path, name: str) -> Any:
    path = directory / "results" / name
    eventually(path.exists, f"the result {name}")
    return json.loads(path.read_text())


def test_a_role_of_a_collection_runs_and_a_variable_in_the_file_is_expanded(
    running: OperatorProcess, api: ApiServer, directory: Path
) -> None:
    create(api, "Widget", "one.compat.test", NAMESPACES[0], "fqcn", spec={"podIPs": [1]})
    assert kept(directory, f"{NAMESPACES[0]}-fqcn") == {"podIPs": [1]}


def test_two_groups_may_have_a_kind_of_the_same_name_each_with_workers_of_its_own(
    running: OperatorProcess, api: ApiServer, directory: Path
) -> None:
    create(api, "Widget", "one.compat.test", NAMESPACES[0], "twin", spec={"group": "one"})
    create(api, "Widget", "two-things.compat.test", NAMESPACES[0], "twin", spec={"group": "two"})
    assert kept(directory, f"{NAMESPACES[0]}-twin") == {"group": "one"}
    assert kept(directory, f"two-{NAMESPACES[0]}-twin") == {"group": "two"}
    workers = {
        line.split('controller="')[1].split('"')[0]: float(line.rsplit(" ", 1)[1])
        for line in running.metrics().splitlines()
        if line.startswith("controller_runtime_max_concurrent_reconciles{")
    }
    assert workers["widget-v1-two-things.compat.test-controller"] == 1


def test_each_namespace_of_the_list_is_watched_and_no_other(
    running: OperatorProcess, api: ApiServer, directory: Path
) -> None:
    for namespace in ("compat-elsewhere", *NAMESPACES):
        create(api, "Widget", "one.compat.test", namespace, "spread", spec={})
    for namespace in NAMESPACES:
        assert kept(directory, f"{namespace}-spread") == {}
    assert not (directory / "results" / "compat-elsewhere-spread").exists()


def test_a_built_in_kind_without_spec_and_status_can_be_watched_and_is_selected_by_its_labels(
    running: OperatorProcess, api: ApiServer, directory: Path
) -> None:
    create(api, "ConfigMap", "", NAMESPACES[0], "left-out", data={"a": "b"})
    labels = {"labels": {"keep": "me"}}
    path = create(api, "ConfigMap", "", NAMESPACES[0], "chosen", data={"a": "b"}, metadata=labels)
    result = kept(directory, f"{NAMESPACES[0]}-chosen")
    assert (result["kind"], result["data"]) == ("ConfigMap", {"a": "b"})
    assert not (directory / "results" / f"{NAMESPACES[0]}-left-out").exists()
    assert "status" not in api.call("GET", path)
    assert api.call("GET", path)["metadata"]["finalizers"] == ["compat.test/cleanup"]
    api.call("DELETE", path)
    assert kept(directory, f"gone-{NAMESPACES[0]}-chosen")["metadata"]["name"] == "chosen"
    running.wait_for_message("finalized", name="chosen")
    assert running.runs("chosen") == 2, "our own finalizer starts no run"


def test_names_stay_as_they_are_and_annotations_reconcile_where_asked_for(
    running: OperatorProcess, api: ApiServer, directory: Path
) -> None:
    path = create(api, "Raw", "one.compat.test", NAMESPACES[0], "raw", spec={"fooBar": "{{ 1 + 1 }}"})
    assert kept(directory, f"{NAMESPACES[0]}-raw") == "{{ 1 + 1 }}"
    annotations = {
        "ansible.sdk.operatorframework.io/max-runner-artifacts": "1",
        "ansible.sdk.operatorframework.io/verbosity": "4",
        "ansible.sdk.operatorframework.io/reconcile-period": "1s",
        "ansible.operator-sdk/verbosity": "7",
    }
    api.call("PATCH", path, {"metadata": {"annotations": annotations}}, "application/merge-patch+json")
    eventually(lambda: running.runs("raw") >= 4, "runs by the period of the annotation")
    dead = running.wait_for_message("an annotation is ignored", name="raw")
    assert dead["warning"].startswith("ansible.operator-sdk/verbosity means nothing any more")
    off = {"metadata": {"annotations": {"ansible.sdk.operatorframework.io/reconcile-period": "0s"}}}
    api.call("PATCH", path, off, "application/merge-patch+json")
    place = directory / "runs" / "one.compat.test" / "v1" / "Raw" / NAMESPACES[0] / "raw" / "artifacts"
    eventually(lambda: len([run for run in place.iterdir() if run.name != "latest"]) == 1, "one run's artifacts")

    def command() -> list[str]:
        # The last run may just be starting, and the one before it is removed then.
        try:
            return list(json.loads((place / "latest" / "command").read_text())["command"])
        except FileNotFoundError:
            return []

    eventually(lambda: "-vvvv" in command(), "a run with the verbosity of the annotation")
