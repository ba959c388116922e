"""What `validate` says of tasks for newer cores; tests/engine/test_refused_tasks.py asks Ansible if it is right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from reconcile_runner.apimachinery.objects import GroupVersionKind
from reconcile_runner.porting.check import is_strict, refused_tasks
from reconcile_runner.watches.loader import Lookup, load
from reconcile_runner.watches.watch import Finalizer, Watch
from tests.support.paths import REPOSITORY, TESTDATA

THING = GroupVersionKind("example.com", "v1", "Thing")

IDIOMS = (
    "a condition must be a boolean",
    "is given nothing (None)",
    "is undefined where the object has no such field",
    "a number and a text are added",
)

OPERATORS = sorted(path.parent for path in (TESTDATA / "operators-of-2.18").glob("*/watches.yaml"))
OWN = [REPOSITORY, *(REPOSITORY / "examples" / name for name in ("appservice", "blogpost"))]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(path: str, content: object) -> Path:
    file = Path.cwd() / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False))
    return file


def warnings(tasks: object, **options: Any) -> list[str]:
    """Return what is said of a watch whose role has these tasks."""
    write("roles/it/tasks/main.yml", tasks)
    watch = Watch(THING, role=Path.cwd() / "roles" / "it", **options)
    return [str(finding) for finding in refused_tasks([watch], Lookup("", "", Path.cwd()))]


def of_directory(directory: Path) -> list[str]:
    """Return what is said of an operator's directory."""
    lookup = Lookup("", str(directory / "collections"), directory)
    watches = load(directory / "watches.yaml", {}, lookup).watches
    return [str(finding) for finding in refused_tasks(watches, lookup)]


@pytest.mark.parametrize(
    ("core", "is_refusing"),
    [("2.18.9", False), ("2.19.0", True), ("2.21.5", True), ("3.0", True), ("2.9", False), ("not installed", False)],
)
def test_cores_from_2_19_on_are_strict(core: str, is_refusing: bool) -> None:
    assert is_strict(core) == is_refusing


def test_there_are_operators_of_older_cores() -> None:
    assert len(OPERATORS) == 3


@pytest.mark.parametrize("idiom", IDIOMS)
@pytest.mark.parametrize("directory", OPERATORS, ids=lambda path: path.name)
def test_each_idiom_of_an_operator_of_an_older_core_is_named(
    directory: Path, idiom: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(directory)
    said = of_directory(directory)
    assert [line for line in said if idiom in line], said


@pytest.mark.parametrize("directory", OWN, ids=lambda path: path.name)
def test_nothing_is_said_of_the_operators_of_this_repository(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(directory)
    assert of_directory(directory) == []


def test_a_line_says_where_what_why_and_what_to_write_instead() -> None:
    write("roles/it/defaults/main.yml", {"names": []})
    text = "---\n- name: First\n  debug:\n\n- name: Second\n  debug:\n  when: names | length\n"
    place = "roles/it/tasks/main.yml:5: task 'Second'"
    reason = "when: `names | length` is a number, and a condition must be a boolean; write `names | length > 0`"
    assert warnings(text) == [f"{place}: {reason}"]


def test_name_and_namespace_of_the_object_are_texts() -> None:
    tasks = [{"debug": None, "when": "ansible_operator_meta.namespace"}, {"debug": None, "when": "name_of_it"}]
    write("roles/it/vars/main.yml", {"name_of_it": "{{ ansible_operator_meta.name }}"})
    assert ["is a text" in line for line in warnings(tasks)] == [True, True]


def test_a_finalizers_role_is_looked_at_too() -> None:
    write("roles/last/tasks/main.yml", [{"debug": None, "when": "1"}])
    [said] = warnings([], finalizer=Finalizer("example.com/f", role=Path.cwd() / "roles" / "last"))
    assert said.startswith("roles/last/tasks/main.yml:1: task 1: when: `1` is a number")


def test_a_file_that_two_watches_run_is_told_of_once() -> None:
    write("roles/it/tasks/main.yml", [{"debug": None, "when": "1"}])
    watches = [Watch(GroupVersionKind("example.com", "v1", kind), role=Path.cwd() / "roles/it") for kind in ("A", "B")]
    assert len(refused_tasks(watches, Lookup("", "", Path.cwd()))) == 1


@pytest.mark.parametrize(
    ("replacement"),
    ["names | length > 0", "(names + names) is truthy", "text is truthy", "(flag and names) is truthy"],
)
def test_what_is_to_be_written_instead_is_accepted(replacement: str) -> None:
    write("roles/it/defaults/main.yml", {"names": [], "text": "a", "flag": True})
    [said] = warnings(
        [{"debug": None, "when": replacement.removesuffix(" is truthy").removesuffix(" > 0").strip("()")}]
    )
    assert said.endswith(f"write `{replacement}`")
    assert warnings([{"debug": None, "when": replacement}]) == []


def crd(schema: dict[str, Any]) -> dict[str, Any]:
    version = {"name": "v1", "schema": {"openAPIV3Schema": {"properties": {"spec": schema}}}}
    spec = {"group": "example.com", "names": {"kind": "Thing"}, "versions": [version]}
    return {"kind": "CustomResourceDefinition", "spec": spec}


@pytest.mark.parametrize("directory", ["crds", "config/crd/bases"])
@pytest.mark.parametrize(
    ("schema", "is_said"),
    [
        ({"properties": {"maxSize": {"type": "integer"}}}, True),
        ({"required": ["maxSize"], "properties": {"maxSize": {"type": "integer"}}}, False),
        ({"properties": {"maxSize": {"type": "integer", "default": 1}}}, False),
    ],
    ids=["optional", "required", "with a default"],
)
def test_a_field_that_the_crd_requires_is_there(directory: str, schema: dict[str, Any], is_said: bool) -> None:
    write(f"{directory}/things.yaml", crd(schema))
    assert bool(warnings([{"debug": None, "when": "max_size is number"}])) == is_said


@pytest.mark.parametrize("content", ["{", "- 1", "kind: CustomResourceDefinition", ""])
def test_a_file_beside_the_crds_that_is_none_says_nothing(content: str) -> None:
    write("crds/things.yaml", content)
    assert warnings([{"debug": None, "when": "size is number"}])


@pytest.mark.parametrize(
    "before",
    [
        {"include_vars": "some.yml"},
        {"ansible.builtin.setup": None},
        {"example.things.thing_facts": None},
        {"set_fact": {"{{ name }}": 1}},
        {"set_fact": {"size": "{{ something }}"}},
        {"assert": {"that": "size is defined"}},
        {"fail": None, "when": "size is undefined"},
        {"debug": None, "register": "size"},
    ],
    ids=str,
)
def test_a_name_that_a_task_may_give_a_value_is_not_called_undefined(before: dict[str, Any]) -> None:
    assert warnings([before, {"debug": None, "when": "size is number"}]) == []


def test_a_variable_of_the_watch_is_not_called_undefined() -> None:
    assert warnings([{"debug": None, "when": "size is number"}], vars={"size": "{{ other }}"}) == []


def test_templates_of_a_role_are_looked_at_with_their_lines() -> None:
    write("roles/it/defaults/main.yml", {"names": []})
    write("roles/it/templates/a.j2", "a\n\n{% if size is number %}{{ size }}{% endif %}\n")
    [said] = warnings([{"debug": None}])
    assert said.startswith("roles/it/templates/a.j2:3: `size` is undefined where")


@pytest.mark.parametrize(
    "text",
    ["{% if names | length %}a{% endif %}", "{{ names }", "{% if size is defined %}{{ size is number }}{% endif %}"],
)
def test_nothing_is_said_of_templates_that_are_taken(text: str) -> None:
    write("roles/it/defaults/main.yml", {"names": []})
    write("roles/it/templates/a.j2", text)
    assert warnings([{"debug": None}]) == []


@pytest.mark.parametrize("variables", [{"a": "{{ b }}", "b": "{{ a }}"}, {"a": "{{ a }}"}], ids=str)
def test_variables_that_name_one_another_end(variables: dict[str, str]) -> None:
    write("roles/it/defaults/main.yml", variables)
    assert warnings([{"debug": None, "when": "a"}]) == []
