"""What `validate` says that a newer ansible-core refuses, against what plain ansible-playbook of each core does."""

from __future__ import annotations

import enum
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconcile_runner.apimachinery.objects import GroupVersionKind
from reconcile_runner.porting.check import is_strict, refused_tasks
from reconcile_runner.watches.loader import Lookup
from reconcile_runner.watches.watch import Watch
from tests.support import cores

pytestmark = pytest.mark.timeout(300)

DEFAULTS = {
    "names": ["a", "b"],
    "none_at_all": [],
    "text": "some",
    "no_text": "",
    "true_text": "true",
    "size": 3,
    "settings": {"a": 1},
    "flag": True,
    "condition": "size > 1",
    "is_big": "{{ size > 1 }}",
    "many": "{{ names | length }}",
}

TEMPLATES = {
    "empty.j2": "",
    "comment.j2": "{# nothing #}\n",
    "set.j2": "{% set here = 1 %}\n",
    "full.j2": "a\nb\n",
    "condition.j2": "{% if flag %}{# nothing #}{% endif %}\n",
    "perhaps.j2": "{% if flag %}a{% endif %}\n",
}


CORES = ("2.18", "2.19", "2.21")
"""The last core that takes what the table says, the first that does not, and the newest."""


class Verdict(enum.Enum):
    """What becomes of a case."""

    REFUSED = "2.18 takes it, 2.19 and newer refuse it, and validate says so"
    REFUSED_BY_ALL = "every core refuses it, and validate says so"
    TAKEN = "2.19 and newer take it, and validate says nothing"
    NOT_TOLD = "2.19 and newer refuse it, and files do not tell"


@dataclass(frozen=True)
class Case:
    tasks: list[dict[str, Any]]
    verdict: Verdict


def when(condition: object) -> list[dict[str, Any]]:
    return [{"ansible.builtin.debug": {}, "when": condition}]


def shows(text: str, **keywords: Any) -> list[dict[str, Any]]:
    return [{"ansible.builtin.debug": {"msg": text}, **keywords}]


def after_fact(value: str, text: str) -> list[dict[str, Any]]:
    return [{"ansible.builtin.set_fact": {"fact": value}}, *shows(text)]


def after_run(condition: object, **keywords: Any) -> list[dict[str, Any]]:
    run = {"ansible.builtin.command": "echo out", "register": "ran", "changed_when": False, **keywords}
    return [run, *when(condition)]


CONDITIONS: dict[Verdict, list[object]] = {
    Verdict.REFUSED: [
        *("names", "none_at_all", "text", "no_text", "true_text", "size", "settings", "condition", "many"),
        *("names | length", "names | count", "names|length", "text | trim", "text | upper", "size | int"),
        *("names | map('upper') | list", "names | select('equalto', 'a') | list", "names | join(',')", "names + names"),
        *("text | regex_search('s')", "missing | default('')", "missing | default([], true)", "settings | dict2items"),
        *(
            "flag and names",
            "flag and size",
            "flag and names | length",
            "none_at_all or names",
            "names | length if flag else false",
        ),
        *("flag | ternary('yes', 'no')", "text ~ text", "text.strip()", "settings.keys()", "'yes'", "1", "[1]"),
        *(
            "lookup('env', 'HOME')",
            "query('env', 'HOME')",
            "size + 1",
            "settings | combine({})",
            "none",
            "no_text or none",
        ),
        *("{{ names | length }}", "{{ names }}", 1, "", [True, "names"], ["flag", "size"]),
    ],
    Verdict.TAKEN: [
        *("flag", "not names", "not flag", "true", True, False, "names | length > 0", "names != []", "'a' in names"),
        *(
            "names is truthy",
            "text is truthy",
            "names | length == 0",
            "size > 1",
            "size == 3 and flag",
        ),
        *(
            "true_text | bool",
            "flag | bool",
            "missing is defined",
            "missing is not defined",
            "missing | default(false)",
        ),
        *("missing is defined and missing is number", "missing | default(0) is number", "missing | default('') == ''"),
        *("missing is undefined or missing is number", "size is number", "text is string", "settings is mapping"),
        *(
            "text == 'some'",
            "text is match('s')",
            "text | regex_search('z') is none",
            "is_big",
            "{{ flag }}",
            "{{ condition }}",
        ),
        *("flag | ternary(true, false)", "text.startswith('s')", "lookup('env', 'HOME') != ''", "settings.a == 1"),
        *("names[0] == 'a'", "(names | first) == 'a'", "many == 2", "many | int == 2", ["flag", "size > 1"]),
        *("text in ['some', 'other']", "{{ size > 1 }}", "size is not none", "'missing' in vars"),
    ],
    Verdict.NOT_TOLD: ["names | first", "settings.a", "names[0]", "size | random", "names | max"],
}

CASES = [
    *(Case(when(condition), verdict) for verdict, conditions in CONDITIONS.items() for condition in conditions),
    # Other places of conditions.
    Case([{"ansible.builtin.debug": {}, "until": "names", "retries": 1, "delay": 0}], Verdict.REFUSED),
    Case([{"ansible.builtin.debug": {}, "failed_when": "none_at_all"}], Verdict.REFUSED),
    Case([{"ansible.builtin.debug": {}, "changed_when": "names"}], Verdict.REFUSED),
    Case([{"ansible.builtin.debug": {}, "changed_when": "names | length > 1"}], Verdict.TAKEN),
    Case([{"ansible.builtin.assert": {"that": "names"}}], Verdict.REFUSED),
    Case([{"ansible.builtin.assert": {"that": ["flag", "names | length"]}}], Verdict.REFUSED),
    Case([{"assert": {"that": ["flag", "names | length > 1"]}}], Verdict.TAKEN),
    Case([{"block": shows("x"), "when": "names"}], Verdict.REFUSED),
    Case([{"block": when("names")}], Verdict.REFUSED),
    Case([*shows("x", loop="{{ names }}", when="item"), *when("flag")], Verdict.NOT_TOLD),
    Case(shows("x", when="flag or names", vars={"flag": False}), Verdict.REFUSED),
    Case(shows("x", loop="{{ names }}", when="item == 'a'"), Verdict.TAKEN),
    # What is registered.
    *(Case(after_run(text), Verdict.REFUSED) for text in ("ran", "ran.stdout", "ran.rc", "ran['stdout_lines']")),
    *(
        Case(after_run(text), Verdict.TAKEN)
        for text in ("ran.changed", "ran is succeeded", "ran.rc == 0", "ran is changed")
    ),
    Case(after_run("ran.results | length", loop=["a"]), Verdict.REFUSED),
    Case(after_run("ran.stdout", changed_when="ran.stdout"), Verdict.REFUSED),
    # An empty template through a filter.
    *(
        Case(shows(f"{{{{ lookup('template', '{file}') | indent(2) }}}}"), Verdict.REFUSED)
        for file in ("comment.j2", "set.j2", "condition.j2")
    ),
    Case(shows("a: {{ lookup('ansible.builtin.template', 'comment.j2') | indent }}"), Verdict.REFUSED),
    Case(after_fact("{{ lookup('template', 'comment.j2') }}", "{{ fact | indent }}"), Verdict.REFUSED),
    Case(shows("{{ given | indent }}", vars={"given": "{{ lookup('template', 'comment.j2') }}"}), Verdict.REFUSED),
    Case(shows("{{ lookup('template', 'full.j2') | indent(2) }}"), Verdict.TAKEN),
    Case(shows("{{ lookup('template', 'perhaps.j2') | indent(2) }}"), Verdict.TAKEN),
    Case(shows("{{ lookup('template', 'perhaps.j2') | indent(2) }}", vars={"flag": False}), Verdict.NOT_TOLD),
    *(
        Case(shows(text), Verdict.TAKEN)
        for text in (
            "{{ lookup('template', 'comment.j2') | default('', true) | indent(2) }}",
            "{{ lookup('template', 'empty.j2') | indent(2) }}",
            "{{ lookup('template', 'comment.j2') }}",
            "a{{ lookup('template', 'comment.j2') }}",
        )
    ),
    Case(shows("{{ no_text | indent(2) }}"), Verdict.TAKEN),
    # A number and a text.
    Case(after_fact("{{ names | length }}", "{{ fact + ' names' }}"), Verdict.REFUSED),
    Case(after_fact("{{ names | length }}", "{{ 'names: ' + fact }}"), Verdict.REFUSED),
    Case(after_fact("{{ size }}", "{{ fact + text }}"), Verdict.REFUSED_BY_ALL),
    Case(after_fact("{{ (text | length) * 2 }}", "{{ fact + (text | upper) }}"), Verdict.REFUSED),
    Case(shows("{{ many + ' names' }}"), Verdict.REFUSED),
    Case(shows("{{ given + ' names' }}", vars={"given": "{{ 3 }}"}), Verdict.REFUSED),
    Case(shows("{{ size + ' names' }}"), Verdict.REFUSED_BY_ALL),
    Case(after_fact("{{ names | length }}", "{{ fact ~ ' names' }}"), Verdict.TAKEN),
    Case(after_fact("{{ names | length }}", "{{ fact | string + ' names' }}"), Verdict.TAKEN),
    Case(after_fact("{{ names | length }}", "{{ fact + 1 }}"), Verdict.TAKEN),
    Case(after_fact("{{ names | length }} names", "{{ fact + '!' }}"), Verdict.TAKEN),
    Case(after_fact("{{ names | length | string }}", "{{ fact + '!' }}"), Verdict.TAKEN),
    Case(after_fact("{{ names | first }}", "{{ fact + '!' }}"), Verdict.TAKEN),
    # An undefined value in a test.
    Case(shows("{{ missing is not number }}"), Verdict.REFUSED),
    Case(shows("{{ missing.deeper is number }}"), Verdict.REFUSED),
    Case(when("missing is number"), Verdict.REFUSED),
    Case(when("flag and not (missing is number)"), Verdict.REFUSED),
    Case(shows("{{ missing if missing is number else 2 }}"), Verdict.REFUSED),
    Case(shows("x", when=["missing is defined", "missing is number"]), Verdict.TAKEN),
    Case([{"block": when("missing is number"), "when": "missing is defined"}], Verdict.TAKEN),
    Case(shows("{{ missing is defined and missing is number }}"), Verdict.TAKEN),
    Case(shows("{% for missing in [1] %}{{ missing is number }}{% endfor %}"), Verdict.TAKEN),
    Case(shows("{{ item is number }}", loop=[1]), Verdict.TAKEN),
    Case(shows("{{ turn is number }}", loop=[1], loop_control={"loop_var": "turn"}), Verdict.TAKEN),
    Case(shows("{{ settings.missing is number }}"), Verdict.NOT_TOLD),
    Case([{"ansible.builtin.set_fact": {"known": 1}}, *when("known is number")], Verdict.TAKEN),
]

ARGUMENTS: dict[str, object] = {
    "batch": 2,
    "difference": [1],
    "intersect": [1],
    "map": "upper",
    "relpath": "a",
    "sameas": 1,
    "slice": 2,
    "symmetric_difference": [1],
    "union": [1],
    "zip": [1],
}
"""What filters and tests need besides a value."""

FILTERS = {
    Verdict.REFUSED: (
        "basename batch comment count difference dirname expanduser fileglob first flatten indent intersect join last "
        "length list max min random realpath relpath reverse slice sort split splitext sum symmetric_difference "
        "truncate union unique win_basename wordwrap zip"
    ),
    Verdict.TAKEN: (
        "b64decode b64encode bool capitalize checksum escape float from_yaml from_yaml_all hash int lower map quote "
        "regex_escape safe string title to_json to_nice_yaml to_uuid to_yaml trim upper urlencode wordcount"
    ),
    Verdict.NOT_TOLD: "abs dict2items filesizeformat from_json human_readable items2dict round to_datetime",
}
"""What becomes of a template without output through each filter; of the last, 2.18 refuses the empty text, too."""

TESTS = {
    Verdict.REFUSED: "boolean callable escaped false float integer mapping none number sameas sequence string true uri",
    Verdict.TAKEN: "defined undefined",
    Verdict.NOT_TOLD: "abs even exists failed falsy file iterable lower odd succeeded truthy upper",
}
"""What becomes of an undefined value in each test; of the last, 2.18 refuses it, too."""


def used(plugin: str) -> str:
    return f"{plugin}({ARGUMENTS[plugin]!r})" if plugin in ARGUMENTS else plugin


CASES += [
    Case(shows(f"a{{{{ lookup('template', 'comment.j2') | {used(name)} }}}}"), verdict)
    for verdict, names in FILTERS.items()
    for name in names.split()
]
CASES += [
    Case(shows(f"{{{{ missing is {used(name)} }}}}"), verdict)
    for verdict, names in TESTS.items()
    for name in names.split()
]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a role for each case, and a playbook with the tasks of all that notes which fail."""
    directory = tmp_path_factory.mktemp("cases")
    write_templates(directory)
    blocks = []
    for number, case in enumerate(CASES):
        text = yaml.safe_dump(case.tasks).replace("fact", f"fact_{number}").replace(f"set_fact_{number}", "set_fact")
        role = directory / "roles" / f"case_{number}"
        write_templates(role)
        for folder, content in {"tasks": text, "defaults": yaml.safe_dump(DEFAULTS)}.items():
            (role / folder).mkdir()
            (role / folder / "main.yml").write_text(content)
        refused = {"ansible.builtin.set_fact": {"refused": f"{{{{ refused | default([]) + [{number}] }}}}"}}
        blocks.append({"block": yaml.safe_load(text), "rescue": [refused]})
    last = {"ansible.builtin.copy": {"dest": "{{ answer }}", "content": "{{ refused | to_json }}", "mode": "0644"}}
    play = {"hosts": "localhost", "gather_facts": False, "vars": DEFAULTS, "tasks": [*blocks, last]}
    (directory / "play.yml").write_text(yaml.safe_dump([play]))
    return directory


def write_templates(directory: Path) -> None:
    (directory / "templates").mkdir(parents=True)
    for name, text in TEMPLATES.items():
        (directory / "templates" / name).write_text(text)


def refused_by(ansible_playbook: Path, project: Path, answer: Path) -> set[int]:
    """Return the numbers of the cases that plain ansible-playbook ends with a failure."""
    foreign = ("ANSIBLE_", "K8S_AUTH_", "KUBE")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    environment |= {"ANSIBLE_LOCALHOST_WARNING": "false", "ANSIBLE_NOCOLOR": "true", "HOME": str(answer.parent)}
    command = [str(ansible_playbook), "play.yml", "--extra-vars", f"answer={answer}"]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return set(json.loads(answer.read_text()))


def warned_of(project: Path) -> set[int]:
    lookup = Lookup("", "", project)
    kind = GroupVersionKind("example.com", "v1", "Thing")
    return {
        number
        for number in range(len(CASES))
        if refused_tasks([Watch(kind, role=project / "roles" / f"case_{number}")], lookup)
    }


def told(numbers: set[int]) -> str:
    return "\n".join(f"{CASES[number].verdict.name}: {CASES[number].tasks}" for number in sorted(numbers))


def with_verdict(*verdicts: Verdict) -> set[int]:
    return {number for number, case in enumerate(CASES) if case.verdict in verdicts}


@pytest.mark.exhaustive
@pytest.mark.parametrize("core", CORES)
def test_what_each_core_does_is_what_the_table_says(core: str, project: Path, tmp_path: Path) -> None:
    try:
        program = cores.ansible_playbook(core)
    except cores.NoInterpreterError as missing:
        pytest.skip(str(missing))
    refused = refused_by(program, project, tmp_path / "answer")
    if is_strict(core):
        expected = with_verdict(Verdict.REFUSED, Verdict.REFUSED_BY_ALL, Verdict.NOT_TOLD)
        assert told(refused ^ expected) == ""
    else:
        assert told(refused & with_verdict(Verdict.REFUSED)) == ""


def test_what_validate_says_is_what_the_table_says(project: Path) -> None:
    warned, expected = warned_of(project), with_verdict(Verdict.REFUSED, Verdict.REFUSED_BY_ALL)
    assert told(warned ^ expected) == ""
