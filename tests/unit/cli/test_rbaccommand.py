"""``python -m reconcile_runner rbac``: its flags, and that the shipped roles are what it prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from reconcile_runner.cli import app
from reconcile_runner.metrics import Metrics, RequestScope, UsedRight
from tests.support.paths import REPOSITORY

PROJECT = REPOSITORY / "tests" / "testdata" / "watches" / "project"
EXAMPLES = ("appservice", "blogpost")

WATCH = {"group": "example.com", "version": "v1", "kind": "Thing", "role": "it"}
CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"kind": "Thing", "plural": "thingies"},
        "versions": [{"name": "v1", "subresources": {"status": {}}}],
    },
}


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WATCH_NAMESPACE", "ANSIBLE_ROLES_PATH", "ANSIBLE_COLLECTIONS_PATH", "KUBECONFIG"):
        monkeypatch.delenv(name, raising=False)


def rbac(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["rbac", *arguments])


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a directory with a watch of Things, whose role lists Nodes and Pods of all namespaces."""
    tasks = tmp_path / "roles" / "it" / "tasks"
    tasks.mkdir(parents=True)
    (tasks / "main.yml").write_text(yaml.safe_dump([{"k8s_info": {"kind": kind}} for kind in ("Node", "Pod")]))
    (tmp_path / "watches.yaml").write_text(yaml.safe_dump([WATCH]))
    (tmp_path / "crds").mkdir()
    (tmp_path / "crds" / "things.yaml").write_text(yaml.safe_dump(CRD))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("path", "arguments"),
    [
        ("config/rbac/role.yaml", ()),
        ("config/rbac/leader_election_role.yaml", ("--leader-election-id", "foo-operator")),
    ],
)
def test_the_shipped_roles_are_what_is_printed(
    path: str, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(REPOSITORY)
    printed = rbac(*arguments)
    assert printed.stderr == ""
    assert printed.stdout == (REPOSITORY / path).read_text()


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_roles_of_the_examples_are_what_is_printed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY / "examples" / name)
    for file, arguments in (("role", ()), ("leader_election_role", ("--leader-election-id", f"{name}-operator"))):
        printed = rbac(*arguments)
        assert printed.stderr == ""
        assert printed.stdout == Path(f"config/rbac/{file}.yaml").read_text()


@pytest.mark.parametrize(
    "path", ["config/rbac/role.yaml", *(f"examples/{it}/config/rbac/role.yaml" for it in EXAMPLES)]
)
def test_no_shipped_role_has_a_wildcard_or_says_anything_of_secrets(path: str) -> None:
    text = (REPOSITORY / path).read_text()
    assert "*" not in text
    assert "secret" not in text
    assert "escalate" not in text


def roles(result: Result) -> list[tuple[str, str, set[str]]]:
    """Return kind, namespace and resources of each role."""
    return [
        (
            one["kind"],
            one["metadata"].get("namespace", ""),
            {resource for rule in one["rules"] for resource in rule["resources"]},
        )
        for one in yaml.safe_load_all(result.stdout)
    ]


@pytest.mark.usefixtures("project")
def test_crds_in_the_working_directory_are_read_unless_others_are_named(project: Path) -> None:
    [(kind, namespace, resources)] = roles(rbac())
    assert (kind, namespace) == ("ClusterRole", "")
    assert resources == {"events", "nodes", "pods", "thingies", "thingies/status"}
    (project / "others").mkdir()
    elsewhere = rbac("--crds", "others")
    assert "things" in roles(elsewhere)[0][2]
    assert "warning: Thing of example.com/v1 is not known: things, namespaced, is a guess" in elsewhere.stderr
    assert elsewhere.exit_code == 0


def test_the_crds_of_an_operator_sdk_project_are_read_as_well(project: Path) -> None:
    (project / "config" / "crd").mkdir(parents=True)
    (project / "crds").rename(project / "config" / "crd" / "bases")
    printed = rbac()
    assert "thingies" in roles(printed)[0][2]
    assert printed.stderr == ""


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("is_piped", [False, True], ids=["file", "standard input"])
def test_what_runs_have_used_takes_the_place_of_what_files_tell(is_piped: bool, project: Path) -> None:
    metrics = Metrics()
    for verb, resource in (("list", "nodes"), ("create", "jobs")):
        scope = RequestScope.CLUSTER if resource == "nodes" else RequestScope.OWN
        metrics.right_used(UsedRight("batch" if resource == "jobs" else "", resource, verb, scope))
    file = project / "metrics.txt"
    file.write_bytes(metrics.exposition())
    arguments = ["rbac", "--namespace", "a", "--from-runs", "-" if is_piped else str(file)]
    printed = CliRunner().invoke(app, arguments, input=file.read_bytes())
    assert printed.exit_code == 0
    assert roles(printed) == [
        ("ClusterRole", "", {"nodes"}),
        ("Role", "a", {"events", "jobs", "thingies", "thingies/status"}),
    ]
    assert printed.stderr.splitlines() == [
        "warning: only runs tell of create on jobs.batch",
        "warning: only runs tell of list on jobs.batch",
        "warning: only runs tell of watch on jobs.batch",
        "warning: no run has used list on pods so far",
    ]


@pytest.mark.usefixtures("project")
def test_with_namespaces_there_is_a_role_for_each_and_one_for_what_those_cannot_give() -> None:
    of_namespace = {"events", "thingies", "thingies/status"}
    assert roles(rbac("--namespace", "a", "--namespace", "b")) == [
        ("ClusterRole", "", {"nodes", "pods"}),
        ("Role", "a", of_namespace),
        ("Role", "b", of_namespace),
    ]


def test_a_lease_needs_a_role_in_its_namespace() -> None:
    assert roles(rbac("--leader-election-id", "it", "--namespace", "a")) == [("Role", "a", {"leases"})]


@pytest.mark.usefixtures("project")
def test_the_name_is_that_of_the_role() -> None:
    [role] = yaml.safe_load_all(rbac("--name", "mine").stdout)
    assert role["metadata"] == {"name": "mine"}


def test_every_flag_is_in_the_documentation() -> None:
    found = set(re.findall(r"^  (--[a-z-]+)", rbac("--help").stdout, re.MULTILINE)) - {"--help"}
    assert len(found) == 9
    text = (REPOSITORY / "docs" / "reference" / "cli.md").read_text()
    assert [flag for flag in found if f"`{flag}`" not in text] == []


BAD = [
    (("--watches-file", "none.yaml"), "error: none.yaml: cannot be read"),
    (("--crds", "none"), "error: --crds: found no directory none, expected one with CRDs"),
    (("--name", "Not_A_Name"), "error: --name: found 'Not_A_Name', expected lower-case letters"),
    (("--namespace", "a.b"), "error: --namespace: found 'a.b', expected the name of a namespace"),
    (("--leader-election-id", "X"), "error: --leader-election-id: found 'X', expected lower-case letters"),
    (("--kubeconfig", "none"), "error: "),
    (("--from-runs", "none"), "error: --from-runs: none cannot be read: no such file or directory"),
    (("--from-runs", "watches.yaml"), "error: --from-runs: found"),
]


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(("arguments", "message"), BAD, ids=[arguments[0] for arguments, _ in BAD])
def test_a_mistake_is_one_line_and_exit_code_1(arguments: tuple[str, ...], message: str) -> None:
    result = rbac(*arguments)
    assert result.exit_code == 1
    assert result.stdout == ""
    [line] = result.stderr.splitlines()
    assert line.startswith(message)


HELD_BY_ITSELF = {
    "mapping": "&a {b: *a}",
    "items": "- &a\n  block: [*a]",
    "merge": "&a {<<: *a, b: 1}",
    "key": "&a {*a : 1}",
    "tagged": "!mine &a [*a]",
    "deep": "[" * 5000 + "]" * 5000,
    "deep blocks": "\n".join(f"{' ' * depth}- block:" for depth in range(0, 3000, 2)),
}
PLACES = (
    "watches.yaml",
    "crds/things.yaml",
    "kubeconfig",
    *(f"roles/it/{it}" for it in ("tasks/main.yml", "vars/main.yml", "meta/main.yml")),
    "roles/it/files/thing.yml",
    "inline",
)


@pytest.mark.parametrize("shape", HELD_BY_ITSELF)
@pytest.mark.parametrize("place", PLACES)
def test_yaml_that_holds_itself_is_a_line_and_no_traceback(project: Path, place: str, shape: str) -> None:
    text = HELD_BY_ITSELF[shape]
    tasks: list[object] = [{"k8s": {"src": "thing.yml"}}]
    if place == "inline":
        tasks.append({"k8s": {"definition": text}})
    (project / "roles" / "it" / "tasks" / "main.yml").write_text(yaml.safe_dump(tasks))
    if place != "inline":
        (project / place).parent.mkdir(parents=True, exist_ok=True)
        (project / place).write_text(text)
    printed = rbac(*(["--kubeconfig", "kubeconfig"] if place == "kubeconfig" else []))
    assert printed.exception is None or isinstance(printed.exception, SystemExit)
    assert printed.exit_code in {0, 1}
    assert len(printed.stderr) < 2000
