"""What ``validate`` says of roles and playbooks, with the installed ansible-core as the judge."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconcile_runner.apimachinery.objects import GroupVersionKind
from reconcile_runner.inspection.files import file_findings
from reconcile_runner.inspection.inspector import Inspector
from reconcile_runner.options import Options
from reconcile_runner.reconciler.environment import RunEnvironment
from reconcile_runner.watches.watch import Watch
from tests.support.ansible_support import collection_paths
from tests.support.paths import REPOSITORY, TESTDATA

THING = GroupVersionKind("example.com", "v1", "Thing")
UPSTREAM = TESTDATA / "upstream-operator"
IDIOMS = TESTDATA / "idioms"
COLLECTIONS = ":".join(map(str, collection_paths()))
PLACE = "roles/it/tasks/main.yml"


def environment(directory: Path, collections: str = COLLECTIONS) -> dict[str, str]:
    """Return that of runs of an operator in a directory."""
    ambient = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    options = Options(ansible_roles_path=str(directory / "roles"), ansible_collections_path=collections)
    return {**ambient, **RunEnvironment(options, {}, directory).variables()}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def inspector() -> Iterator[Inspector]:
    with Inspector.started(environment(UPSTREAM, f"{UPSTREAM / 'collections'}:{COLLECTIONS}")) as started:
        yield started


def findings(inspector: Inspector, directory: Path, *watches: Watch) -> list[str]:
    return [str(finding) for finding in file_findings(watches, directory, inspector)]


def written(directory: Path, path: str, text: str) -> None:
    file = directory / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


BROKEN = {
    "no YAML": (PLACE, "- debug:\n    msg: a\n   bad: [\n", 3, "found text that is no YAML ("),
    "no tasks": (PLACE, "debug:\n  msg: a\n", 1, "found a mapping, expected a list of tasks"),
    "no task": (PLACE, "- debug: {msg: a}\n- text\n", 2, "found text, expected a task"),
    "module": (PLACE, "- debug: {msg: a}\n- k8z:\n    kind: Pod\n", 2, "couldn't resolve module/action 'k8z'"),
    "collection": (PLACE, "- no.such.module: {a: 1}\n", 1, "couldn't resolve module/action 'no.such.module'"),
    "in a block": (PLACE, "- block:\n  - debug: {msg: a}\n  rescue:\n  - nope: {}\n", 4, "module/action 'nope'"),
    "two modules": (PLACE, "- debug: {msg: a}\n  ping:\n", 1, "conflicting action statements"),
    "no module": (PLACE, "- name: A\n  when: true\n", 1, "no module/action detected in task"),
    "keyword": (PLACE, "- debug: {msg: a}\n  whenn: true\n", 1, "'whenn' is not a valid attribute"),
    "template": (PLACE, '- debug:\n    msg: "{{ a"\n', 2, "found a template with an error ("),
    "folded template": (PLACE, "- debug:\n    msg: >-\n      {{ a | }}\n", 2, "found a template with an error ("),
    "condition": (PLACE, "- debug: {msg: a}\n  when: a b\n", 2, "found a condition with an error ("),
    "conditions": (PLACE, "- debug: {msg: a}\n  when:\n  - a\n  - b ==\n", 4, "found a condition with an error ("),
    "loop": (PLACE, '- debug: {msg: a}\n  loop: "{{ [1, }}"\n', 2, "found a template with an error ("),
    "block's condition": (PLACE, "- block:\n  - debug: {msg: a}\n  when: (a\n", 3, "found a condition with an error ("),
    "handler": ("roles/it/handlers/main.yml", "- nope:\n", 1, "module/action 'nope'"),
    "defaults": ("roles/it/defaults/main.yml", 'a: 1\nb: "{{ c ) }}"\n', 2, "found a template with an error ("),
    "variables": ("roles/it/vars/main.yml", "a: [1\n", None, "found text that is no YAML ("),
    "dependencies": ("roles/it/meta/main.yml", "dependencies:\n- role: other\n", 2, "found role 'other'"),
    "template file": ("roles/it/templates/a.yaml.j2", "a: 1\n{% if b %}\n", 2, "found a template with an error ("),
    "role": (PLACE, "- debug: {msg: a}\n- include_role:\n    name: other\n", 2, "found role 'other', expected one"),
    "tasks": (PLACE, "- include_tasks: other.yml\n", 1, "found tasks 'other.yml', expected a file"),
    "itself": (PLACE, "- debug: &a\n    msg: *a\n", None, "expected a finite value"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_wrong_is_an_error_with_file_line_and_entry(inspector: Inspector, project: Path, case: str) -> None:
    path, text, line, message = BROKEN[case]
    written(project, PLACE, "[]")
    written(project, path, text)
    [found] = findings(inspector, project, Watch(THING, role=project / "roles" / "it"))
    place = f"{path}:{line}: entry 1 (example.com/v1 Thing): " if line else path
    assert found.startswith(place)
    assert message in found
    assert len(found.splitlines()) == 1
    assert "expected" in found


def test_a_playbook_is_looked_at_with_its_roles_and_what_it_imports(inspector: Inspector, project: Path) -> None:
    written(project, "playbooks/it.yml", "- hosts: all\n  roles:\n  - ../shared/one\n- import_playbook: two.yml\n")
    written(project, "playbooks/two.yml", "- hosts: all\n  tasks:\n  - nope:\n  handlers:\n  - also:\n")
    written(project, "shared/one/tasks/main.yml", "- neither:\n")
    found = findings(inspector, project, Watch(THING, playbook=project / "playbooks" / "it.yml"))
    assert [line.partition(": entry")[0] for line in found] == [
        "playbooks/two.yml:3",
        "playbooks/two.yml:5",
        "shared/one/tasks/main.yml:1",
    ]


def test_what_two_entries_run_is_said_once_for_the_first(inspector: Inspector, project: Path) -> None:
    written(project, PLACE, "- nope:\n")
    role = project / "roles" / "it"
    other = Watch(GroupVersionKind("example.com", "v1", "Other"), role=role)
    [found] = findings(inspector, project, Watch(THING, role=role), other)
    assert "entry 1 (example.com/v1 Thing)" in found


OPERATORS = {
    "foo": REPOSITORY,
    "appservice": REPOSITORY / "examples" / "appservice",
    "blogpost": REPOSITORY / "examples" / "blogpost",
    "idioms": IDIOMS,
    **{path.name: path for path in sorted((TESTDATA / "operators-of-2.18").iterdir())},
}


def validated(directory: Path) -> subprocess.CompletedProcess[str]:
    """Run the command as users do, in an operator's directory."""
    paths = {"ANSIBLE_ROLES_PATH": "roles", "ANSIBLE_COLLECTIONS_PATH": f"{directory / 'collections'}:{COLLECTIONS}"}
    command = [sys.executable, "-m", "reconcile_runner", "validate"]
    env = {**os.environ, **paths}
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False, env=env)


@pytest.mark.parametrize("name", OPERATORS)
def test_an_operator_that_works_has_no_error(name: str) -> None:
    done = validated(OPERATORS[name])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].startswith("0 errors, ")


def broken_copies(directory: Path, base: Path) -> Iterator[tuple[Path, Path]]:
    """Yield a copy of an operator's directory for each file that its runs load, and the file that is broken in it."""
    patterns = ("playbooks/*.yml", "roles/*/*/*.yml", "roles/*/templates/*.j2", "collections/*/*/*/roles/*/*/*.yml")
    for number, file in enumerate(sorted({it for pattern in patterns for it in directory.glob(pattern)})):
        copy = base / str(number)
        shutil.copytree(directory, copy)
        broken = copy / file.relative_to(directory)
        broken.write_text(broken.read_text() + ("\n{% if %}\n" if broken.suffix == ".j2" else "\n- a: 'b\n"))
        yield copy, broken


def test_every_file_of_an_operator_is_looked_at(
    inspector: Inspector, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert file_errors(inspector, UPSTREAM) == set()
    copies = list(broken_copies(UPSTREAM, project))
    assert len(copies) > 5
    for copy, broken in copies:
        monkeypatch.chdir(copy)
        assert file_errors(inspector, copy) == {str(broken.relative_to(copy))}


def file_errors(inspector: Inspector, directory: Path) -> set[str]:
    """Return the files with errors."""
    return {str(finding.file) for finding in file_findings(watches_of(directory), directory, inspector)}


def watches_of(directory: Path) -> list[Watch]:
    """Return watches of the roles and playbooks in a directory."""
    kinds = [GroupVersionKind("g", "v1", f"Kind{number}") for number in range(100)]
    roles = sorted((*directory.glob("roles/*"), *directory.glob("collections/*/*/*/roles/*")))
    playbooks = sorted(it for it in directory.glob("playbooks/*.yml"))
    contents = [Watch(kind, role=role) for kind, role in zip(kinds, roles, strict=False)]
    return [*contents, *(Watch(kind, playbook=it) for kind, it in zip(kinds[50:], playbooks, strict=False))]
