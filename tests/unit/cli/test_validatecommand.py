"""``validate``: what it looks at, and where it says that something is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from reconcile_runner.cli import Programs, app
from reconcile_runner.content.readfile import FileKind
from reconcile_runner.inspection.inspector import FileProblem
from tests.support.fakes.inspector import FakeInspector

WATCH: dict[str, Any] = {"group": "example.com", "version": "v1", "kind": "Thing", "role": "it"}
SCHEMA = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"name": {"type": "string"}}}}}
CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"kind": "Thing", "plural": "things"},
        "versions": [{"name": "v1", "schema": {"openAPIV3Schema": SCHEMA}}],
    },
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in the directory of an operator of Things."""
    for name in ("ANSIBLE_ROLES_PATH", "ANSIBLE_COLLECTIONS_PATH", "ANSIBLE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "roles/it/tasks/main.yml", [{"debug": {"msg": "a"}}])
    write(tmp_path, "crds/things.yaml", CRD)
    write(tmp_path, "watches.yaml", [WATCH])
    return tmp_path


def write(directory: Path, path: str, content: object) -> Path:
    file = directory / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    return file


def validate(*arguments: str, inspector: FakeInspector | None = None) -> Result:
    programs = Programs(lambda *_: 0, (inspector or FakeInspector()).started)
    return CliRunner().invoke(app, ["validate", *arguments], obj=programs)


def trigger(**fields: Any) -> dict[str, Any]:
    match = {"source": "metadata.name", "field": "spec.name"}
    return {**WATCH, "triggers": [{"version": "v1", "kind": "Pod", "match": match, **fields}]}


WRONG = {
    "kind": (
        trigger(group="example.com", kind="Thin"),
        "watches.yaml:7: entry 1 (example.com/v1 Thing): triggers[0].kind: found v1 Thin, did you mean v1 Thing?",
    ),
    "source": (
        trigger(match={"source": "metadata.nam", "field": "spec.name"}),
        (
            "watches.yaml:9: entry 1 (example.com/v1 Thing): triggers[0].match.source: found 'metadata.nam', expected "
            "a field of metadata; did you mean 'name'?"
        ),
    ),
    "field": (
        trigger(match={"source": "metadata.name", "field": "spec.nam"}),
        (
            "watches.yaml:10: entry 1 (example.com/v1 Thing): triggers[0].match.field: found 'spec.nam', expected a "
            "field of Thing.spec; did you mean 'name'?"
        ),
    ),
    "on": (
        trigger(group="example.com", kind="Thing", on=["spec", "spec.nam"]),
        (
            "watches.yaml:14: entry 1 (example.com/v1 Thing): triggers[0].on[1]: found 'spec.nam', expected a field of "
            "Thing.spec; did you mean 'name'?"
        ),
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_kind_or_path_of_a_trigger_that_no_crd_has_is_an_error(project: Path, case: str) -> None:
    entry, line = WRONG[case]
    write(project, "watches.yaml", [entry])
    done = validate()
    assert done.exit_code == 1
    assert done.stdout.splitlines() == [f"error: {line}", "1 error, 0 warnings"]


def test_without_crds_paths_are_not_looked_at(project: Path) -> None:
    write(project, "watches.yaml", [trigger(group="any.org", kind="Any", on=["spec.any"])])
    (project / "none").mkdir()
    assert validate("--crds", "none").stdout == "0 errors, 0 warnings\n"
    done = validate("--crds", "nowhere")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "error: --crds: found no directory nowhere, expected one with CRDs\n"


def test_what_ansible_says_of_a_file_is_an_error_of_its_first_entry(project: Path) -> None:
    tasks = project / "roles" / "it" / "tasks" / "main.yml"
    write(project, "watches.yaml", [WATCH, {**WATCH, "kind": "Other"}])
    inspector = FakeInspector([FileProblem(tasks, 7, "a task that Ansible refuses (it)", "one it takes")])
    done = validate(inspector=inspector)
    assert done.stdout.splitlines() == [
        (
            "error: roles/it/tasks/main.yml:7: entry 1 (example.com/v1 Thing): found a task that Ansible refuses (it), "
            "expected one it takes"
        ),
        "1 error, 0 warnings",
    ]
    assert [file.path for file in inspector.files] == [tasks]


def test_every_file_of_a_role_is_looked_at_as_what_it_is(project: Path) -> None:
    role = project / "roles" / "it"
    for path in ("handlers/main.yml", "defaults/main/a.yml", "vars/other.yml", "meta/main.yml", "tasks/more.yml"):
        write(project, f"roles/it/{path}", [])
    for path in ("a.yaml.j2", "deep/b.j2", "c.yaml"):
        write(project, f"roles/it/templates/{path}", "{{ a }}")
    write(project, "roles/it/tasks/main.yml", [{"include_tasks": "more.yml"}])
    inspector = FakeInspector()
    assert validate(inspector=inspector).exit_code == 0
    assert {(str(file.path.relative_to(role)), file.kind) for file in inspector.files} == {
        ("tasks/main.yml", FileKind.TASKS),
        ("tasks/more.yml", FileKind.TASKS),
        ("handlers/main.yml", FileKind.HANDLERS),
        ("defaults/main/a.yml", FileKind.VARS),
        ("vars/other.yml", FileKind.VARS),
        ("meta/main.yml", FileKind.META),
        ("templates/a.yaml.j2", FileKind.TEMPLATE),
        ("templates/deep/b.j2", FileKind.TEMPLATE),
    }


def test_templates_with_other_delimiters_are_not_looked_at(project: Path) -> None:
    write(project, "roles/it/templates/a.j2", "[[ a ]] {{ if }}")
    task = {"template": {"src": "a.j2", "dest": "/a", "variable_start_string": "[["}}
    write(project, "roles/it/tasks/main.yml", [task])
    inspector = FakeInspector()
    assert validate(inspector=inspector).exit_code == 0
    assert FileKind.TEMPLATE not in {file.kind for file in inspector.files}


def test_what_a_finalizer_runs_is_looked_at(project: Path) -> None:
    write(project, "roles/last/tasks/main.yml", [])
    write(project, "watches.yaml", [{**WATCH, "finalizer": {"name": "example.com/last", "role": "last"}}])
    inspector = FakeInspector()
    assert validate(inspector=inspector).exit_code == 0
    assert {file.path.parent.parent.name for file in inspector.files} == {"it", "last"}


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({"include_role": {"name": "none"}}, "found role 'none', expected one that can be found"),
        ({"include_tasks": "none.yml"}, "found tasks 'none.yml', expected a file that can be found"),
    ],
    ids=["role", "tasks"],
)
def test_what_cannot_be_found_is_an_error_where_it_is_named(project: Path, task: dict[str, Any], message: str) -> None:
    write(project, "roles/it/tasks/main.yml", [{"debug": None}, task])
    done = validate()
    assert done.exit_code == 1
    assert done.stdout.splitlines()[0] == (
        f"error: roles/it/tasks/main.yml:2: entry 1 (example.com/v1 Thing): {message}"
    )


@pytest.mark.parametrize("name", ["{{ kind }}.yml", "{{ state | default('present') }}.yml"])
def test_what_a_template_names_may_be_found_in_a_run(project: Path, name: str) -> None:
    write(project, "roles/it/tasks/main.yml", [{"include_tasks": name}, {"include_role": {"name": "{{ kind }}"}}])
    assert validate().stdout == "0 errors, 0 warnings\n"


def test_the_environment_is_that_of_runs(project: Path) -> None:
    inspector = FakeInspector()
    validate("--ansible-roles-path", "a:roles", "--ansible-collections-path", "b", inspector=inspector)
    assert inspector.environ["ANSIBLE_ROLES_PATH"] == f"{project}/a:{project}/roles"
    assert inspector.environ["ANSIBLE_COLLECTIONS_PATH"].startswith(f"{project}/b:")
