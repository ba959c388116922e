"""Which tasks are found, wherever they stand: told by the names of the ConfigMaps that they read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reconcile_runner.content.tasks import Call, TaskWalk, calls_of
from reconcile_runner.content.variables import Variables
from reconcile_runner.watches.watch import Watch
from tests.unit.rbac.roles import THING, Workplace


def read(name: str, module: str = "kubernetes.core.k8s_info", **task: Any) -> dict[str, Any]:
    return {"name": f"Read {name}", module: {"kind": "ConfigMap", "name": name}, **task}


def names(calls: list[Call]) -> list[str]:
    return [str(call.args["name"]) for call in calls]


@pytest.mark.parametrize(
    "module",
    [
        "kubernetes.core.k8s_info",
        "k8s_info",
        "community.kubernetes.k8s_info",
        "redhat.openshift.k8s_info",
    ],
)
def test_a_module_is_known_by_each_of_its_names(workplace: Workplace, module: str) -> None:
    [call] = workplace.calls([read("a", module)])
    assert (call.module, call.args) == ("k8s_info", {"kind": "ConfigMap", "name": "a"})


SPELLINGS: list[dict[str, Any]] = [
    {"k8s_info": "kind=ConfigMap name=a"},
    {"k8s_info": "kind='ConfigMap' name=\"a\""},
    {"k8s_info": "name=a", "args": {"kind": "ConfigMap"}},
    {"k8s_info": None, "args": {"kind": "ConfigMap", "name": "a"}},
    {"action": "k8s_info kind=ConfigMap name=a"},
    {"local_action": "kubernetes.core.k8s_info kind=ConfigMap name=a"},
    {"action": {"module": "k8s_info", "kind": "ConfigMap", "name": "a"}},
]


@pytest.mark.parametrize("task", SPELLINGS, ids=[str(task) for task in SPELLINGS])
def test_a_task_may_be_spelt_in_many_ways(workplace: Workplace, task: dict[str, Any]) -> None:
    [call] = workplace.calls([task])
    assert (call.module, call.args["kind"], call.args["name"]) == ("k8s_info", "ConfigMap", "a")


def test_blocks_are_looked_into_with_their_variables(workplace: Workplace) -> None:
    block = {
        "vars": {"which": "inner"},
        "block": [read("{{ which }}"), {"block": [read("nested")]}],
        "rescue": [read("rescue")],
        "always": [read("always")],
    }
    assert names(workplace.calls([block])) == ["inner", "nested", "rescue", "always"]


def test_module_defaults_hold_for_their_module_and_groups_for_all(workplace: Workplace) -> None:
    block = {
        "module_defaults": {
            "kubernetes.core.k8s_info": {"kind": "Pod"},
            "group/kubernetes.core.k8s": {"namespace": "n"},
        },
        "block": [
            {"k8s_info": {"name": "a"}},
            {"k8s_info": {"kind": "Job"}, "module_defaults": {"k8s_info": {"name": "b"}}},
        ],
    }
    first, second = workplace.calls([block])
    assert first.args == {"kind": "Pod", "name": "a", "namespace": "n"}
    assert second.args == {"kind": "Job", "name": "b", "namespace": "n"}


def test_a_loop_over_what_is_known_is_a_task_for_each_item(workplace: Workplace) -> None:
    tasks = [
        read("{{ item }}", loop=["a", "b"]),
        read("{{ item.of }}", with_items=[{"of": "c"}]),
        read("{{ one }}", loop="{{ listed }}", loop_control={"loop_var": "one"}),
        read("{{ item }}", loop="{{ unknown }}"),
    ]
    assert names(workplace.calls(tasks, listed=["d"])) == ["a", "b", "c", "d", "{{ item }}"]


def test_a_variable_that_a_task_registers_or_sets_is_not_known(workplace: Workplace) -> None:
    workplace.write("roles/it/defaults/main.yml", {"one": "a", "two": "b", "three": "c"})
    tasks = [
        read("{{ three }}"),
        {"set_fact": {"one": "x"}},
        {"command": "x", "register": "two"},
        read("{{ one }}{{ two }}"),
    ]
    found = [call for call in workplace.calls(tasks) if call.module == "k8s_info"]
    assert names(found) == ["c", "{{ one }}{{ two }}"]


def test_variables_of_a_role_are_known_and_the_watchs_win(workplace: Workplace) -> None:
    workplace.write("roles/it/defaults/main.yml", {"a": "default", "b": "default", "c": "default"})
    workplace.write("roles/it/vars/main/one.yml", {"b": "var", "c": "var"})
    assert names(workplace.calls([read("{{ a }} {{ b }} {{ c }}")], c="watch")) == ["default var watch"]


def test_included_tasks_are_followed_with_their_variables(workplace: Workplace) -> None:
    workplace.write("roles/it/tasks/deep/more.yml", [read("{{ which }}"), {"include_tasks": "last.yml"}])
    workplace.write("roles/it/tasks/deep/last.yml", [read("last")])
    tasks = [
        {"ansible.builtin.include_tasks": {"file": "deep/more.yml"}, "vars": {"which": "one"}},
        {"import_tasks": "deep/more.yml", "vars": {"which": "two"}},
    ]
    assert names(workplace.calls(tasks)) == ["one", "last", "two", "last"]
    assert workplace.unknowns.lines == []


def test_a_file_with_a_variable_in_its_name_stands_for_all_that_it_can_mean(workplace: Workplace) -> None:
    for state in ("present", "absent", "other"):
        workplace.write(f"roles/it/tasks/state-{state}.yml", [read(state)])
    tasks = [{"include_tasks": "state-{{ state }}.yml"}]
    assert names(workplace.calls(tasks)) == ["absent", "other", "present"]
    assert names(workplace.calls(tasks, state="present")) == ["present"]


def test_files_that_include_each_other_end(workplace: Workplace) -> None:
    workplace.write("roles/it/tasks/again.yml", [read("again"), {"include_tasks": "main.yml"}])
    assert names(workplace.calls([{"include_tasks": "again.yml"}, {"include_tasks": "{{ any }}.yml"}])) == ["again"]


@pytest.mark.parametrize(
    ("task", "line"),
    [
        ({"include_tasks": "{{ which }}"}, "task 1: found tasks '{{ which }}', expected a file that can be found"),
        ({"name": "Go", "include_tasks": "no.yml"}, "task 'Go': found tasks 'no.yml', expected a file"),
        ({"include_role": {"name": "{{ r }}"}}, "task 1: found role '{{ r }}', expected one that can be found"),
        ({"import_role": {"name": "none"}}, "task 1: found role 'none', expected one that can be found"),
    ],
    ids=["template", "no file", "templated role", "no role"],
)
def test_what_cannot_be_followed_is_reported(workplace: Workplace, task: dict[str, Any], line: str) -> None:
    assert workplace.calls([task]) == []
    [found] = workplace.unknowns.lines
    assert found.startswith(f"roles/it/tasks/main.yml: {line}")


ODD: list[object] = [
    {"block": "x"},
    {"block": [1, None]},
    {"include_tasks": None},
    {"include_tasks": "x" * 5000},
    {"include_tasks": "a\0b"},
    {"include_role": {"name": None}},
    {"k8s_info": ["a"], "args": "b", "vars": [], "loop": {"a": 1}, "loop_control": "x", "module_defaults": [1]},
    {"k8s": {"definition": {"metadata": "x", "kind": ["a"]}}},
    {"action": None},
    {1: 2},
]


@pytest.mark.parametrize("task", ODD, ids=[str(task)[:40] for task in ODD])
def test_tasks_that_ansible_would_refuse_end_nothing(workplace: Workplace, task: object) -> None:
    workplace.write("roles/it/meta/main.yml", {"dependencies": "x"})
    workplace.write("roles/it/vars/main.yml", ["x"])
    assert "events" in workplace.rights(Watch(THING, role=workplace.role([task, read("a")])))


def test_bad_yaml_is_reported(workplace: Workplace) -> None:
    assert workplace.calls("- a: [") == []
    [found] = workplace.unknowns.lines
    assert found.startswith("roles/it/tasks/main.yml: found no YAML")


def test_tags_of_ansible_are_no_error(workplace: Workplace) -> None:
    text = "- k8s_info:\n    kind: ConfigMap\n    name: !unsafe a\n    namespace: !vault |\n      secret\n"
    assert names(workplace.calls(text)) == ["a"]


class TestRoles:
    def test_dependencies_handlers_and_included_roles_are_followed(self, workplace: Workplace) -> None:
        workplace.role([read("dependency {{ given }}")], "before")
        workplace.role([read("included {{ given }}")], "other")
        workplace.write("roles/other/tasks/part.yaml", [read("part")])
        workplace.write("roles/it/meta/main.yml", {"dependencies": [{"role": "before", "given": "param"}]})
        workplace.write("roles/it/handlers/main.yml", [read("handler")])
        tasks = [
            {"include_role": {"name": "other"}, "vars": {"given": "var"}},
            {"import_role": {"name": "other", "tasks_from": "part"}},
        ]
        found = names(workplace.calls(tasks))
        assert found == ["dependency param", "included var", "part", "handler"]
        assert workplace.unknowns.lines == []

    def test_what_a_role_is_given_wins_over_its_own(self, workplace: Workplace) -> None:
        workplace.role([read("{{ a }} {{ b }}")], "other")
        workplace.write("roles/other/vars/main.yml", {"a": "own", "b": "own"})
        tasks = [{"include_role": {"name": "other"}, "vars": {"a": "given"}}]
        assert names(workplace.calls(tasks)) == ["given own"]

    def test_roles_of_collections_are_found(self, workplace: Workplace) -> None:
        base = "collections/ansible_collections/a/b/roles"
        workplace.write(f"{base}/one/tasks/main.yml", [{"import_role": {"name": "two"}}])
        workplace.write(f"{base}/two/tasks/main.yml", [read("two")])
        assert names(workplace.calls([{"include_role": {"name": "a.b.one"}}])) == ["two"]


class TestPlaybooks:
    def play(self, workplace: Workplace, playbook: object) -> list[str]:
        file = workplace.write("playbooks/it.yml", playbook)
        return names(list(calls_of(TaskWalk(workplace.unknowns).playbook(file, Variables(), workplace.search))))

    def test_all_sections_of_a_play_are_read(self, workplace: Workplace) -> None:
        workplace.role([read("role {{ given }}")], "other")
        workplace.write("playbooks/vars.yml", {"which": "pre"})
        play = {
            "hosts": "localhost",
            "vars_files": ["vars.yml"],
            "vars": {"after": "post"},
            "pre_tasks": [read("{{ which }}")],
            "roles": [{"role": "other", "vars": {"given": "var"}}, "other"],
            "tasks": [read("task")],
            "post_tasks": [read("{{ after }}")],
            "handlers": [read("handler")],
        }
        assert self.play(workplace, [play]) == ["role var", "role {{ given }}", "pre", "task", "post", "handler"]

    def test_imported_playbooks_and_roles_beside_a_playbook_are_followed(self, workplace: Workplace) -> None:
        workplace.write("playbooks/more/last.yml", [{"hosts": "all", "roles": ["beside"]}])
        workplace.write("playbooks/more/roles/beside/tasks/main.yml", [read("beside")])
        assert self.play(workplace, [{"ansible.builtin.import_playbook": "more/last.yml"}]) == ["beside"]

    def test_a_playbook_that_imports_itself_ends(self, workplace: Workplace) -> None:
        assert self.play(workplace, [{"import_playbook": "it.yml"}, {"hosts": "all", "tasks": [read("a")]}]) == ["a"]


def test_a_place_is_named_from_the_working_directory(workplace: Workplace) -> None:
    [call] = workplace.calls([read("a")])
    assert str(call.place) == "roles/it/tasks/main.yml: task 'Read a'"
    assert call.place.file.is_relative_to(Path.cwd())


INCLUDES_ITSELF: dict[str, dict[str, Any]] = {
    "a role, nothing else": {"include_role": {"name": "it"}},
    "a role, with a variable that grows": {"include_role": {"name": "it"}, "vars": {"depth": "{{ depth + 1 }}"}},
    "a role, with a text that grows": {"include_role": {"name": "it"}, "vars": {"text": "x{{ text }}"}},
    "a role, with a list that shrinks": {"include_role": {"name": "it"}, "vars": {"rest": "{{ rest[1:] }}"}},
    "a role, in a loop": {"include_role": {"name": "it"}, "loop": ["a", "b"]},
    "a role, in a loop that grows": {"include_role": {"name": "it"}, "loop": ["{{ item }}x", "{{ item }}y"]},
    "tasks, with a variable": {"include_tasks": "main.yml", "vars": {"depth": "{{ depth + 1 }}"}},
    "tasks, in a loop that grows": {"include_tasks": "main.yml", "loop": ["{{ item }}x", "{{ item }}y"]},
}


@pytest.mark.parametrize("include", INCLUDES_ITSELF.values(), ids=INCLUDES_ITSELF)
@pytest.mark.parametrize("is_mutual", [False, True], ids=["itself", "each other"])
def test_what_includes_itself_ends(workplace: Workplace, include: dict[str, Any], *, is_mutual: bool) -> None:
    """A role that is run until something is so includes itself again, with other variables."""
    tasks: list[dict[str, Any]] = [read("a"), {"block": [include]}, read("z")]
    if is_mutual:
        workplace.role([{"include_role": {"name": "it"}, "vars": {"turn": "{{ turn }}+"}}], "other")
        tasks.insert(1, {"include_role": {"name": "other"}})
    found = names(workplace.calls(tasks))
    assert set(found) == {"a", "z"}
    assert len(found) <= 2 * 1000


def test_what_includes_itself_with_other_objects_is_read_for_each_of_them(workplace: Workplace) -> None:
    tasks = [
        read("{{ which | default('one') }}"),
        {"include_role": {"name": "it"}, "vars": {"which": "two"}, "when": "which is not defined"},
    ]
    assert sorted(names(workplace.calls(tasks))) == ["one", "two"]
    assert workplace.unknowns.lines == []


def test_files_that_include_one_another_too_deeply_are_said(workplace: Workplace) -> None:
    for number in range(200):
        workplace.write(f"roles/it/tasks/{number}.yml", [read(str(number)), {"include_tasks": f"{number + 1}.yml"}])
    found = names(workplace.calls([{"include_tasks": "0.yml"}]))
    assert found[:3] == ["0", "1", "2"]
    [line] = workplace.unknowns.lines
    assert "include one another too deeply" in line


def test_an_include_in_a_loop_is_read_for_each_item(workplace: Workplace) -> None:
    workplace.write("roles/it/tasks/one.yml", [read("{{ item }}")])
    workplace.role([read("role {{ item }}")], "other")
    tasks = [{"include_tasks": "one.yml", "loop": ["a", "b"]}, {"include_role": {"name": "other"}, "loop": ["c", "d"]}]
    assert names(workplace.calls(tasks)) == ["a", "b", "role c", "role d"]


ROLES_BY_PATH = ["../shared/roles/other", "{{ playbook_dir }}/../shared/roles/other", "{{ here }}/other", "deep/other"]


@pytest.mark.parametrize("name", ROLES_BY_PATH)
@pytest.mark.parametrize("form", ["roles", "role", "include_role"])
def test_a_role_of_a_playbook_is_found_by_its_path(workplace: Workplace, name: str, form: str) -> None:
    for place in ("shared/roles/other", "playbooks/deep/other"):
        workplace.write(f"{place}/tasks/main.yml", [read("other")])
    play: dict[str, Any] = {"hosts": "all", "vars": {"here": str(workplace.directory / "shared" / "roles")}}
    match form:
        case "roles":
            play["roles"] = [name]
        case "role":
            play["roles"] = [{"role": name, "tags": ["a"]}]
        case _:
            play["tasks"] = [{"include_role": {"name": name}}]
    file = workplace.write("playbooks/it.yml", [play])
    walk = TaskWalk(workplace.unknowns)
    assert names(list(calls_of(walk.playbook(file, Variables(), workplace.search)))) == ["other"]
    assert workplace.unknowns.lines == []


def test_a_role_knows_its_own_directory(workplace: Workplace) -> None:
    workplace.write("roles/it/more/deep.yml", [read("deep")])
    tasks = [{"include_tasks": "{{ role_path }}/more/deep.yml"}, {"include_tasks": "{{ role_name }}.yml"}]
    workplace.write("roles/it/tasks/it.yml", [read("named")])
    assert names(workplace.calls(tasks)) == ["deep", "named"]


def test_roles_of_the_collections_that_are_named_are_found_by_their_short_names(workplace: Workplace) -> None:
    base = "collections/ansible_collections/a/b/roles"
    for name in ("one", "two"):
        workplace.write(f"{base}/{name}/tasks/main.yml", [read(name)])
    workplace.write("roles/it/meta/main.yml", {"collections": ["a.b"], "dependencies": ["one"]})
    assert names(workplace.calls([{"include_role": {"name": "two"}}])) == ["one", "two"]
    assert workplace.unknowns.lines == []
