"""Answers questions about arguments and files with Ansible's own parsers. The program that ``inspector`` starts.

Each line of standard input is a request, each line of standard output its answer, both JSON. It imports Ansible and
the standard library alone, so that any environment with an ansible-core from 2.16 on can run it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from inspect import signature
from pathlib import Path
from typing import Any, Final, NoReturn

# First, as it wants to be.
from ansible.cli.playbook import PlaybookCLI  # isort: skip
from ansible import constants
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.block import Block
from ansible.playbook.handler import Handler
from ansible.playbook.task import Task
from ansible.plugins.loader import add_all_plugin_dirs, init_plugin_loader
from ansible.template import Templar
from ansible.utils.collection_loader import AnsibleCollectionConfig
from jinja2 import TemplateSyntaxError
from jinja2.parser import Parser

try:
    from ansible.template import is_trusted_as_template as is_trusted
except ImportError:  # before 2.19 all is trusted that is not marked as unsafe
    from ansible.utils.unsafe_proxy import AnsibleUnsafe

    def is_trusted(value: object) -> bool:
        """Tell whether Ansible would look for templates in a value."""
        return not isinstance(value, AnsibleUnsafe)


_PLAYBOOK: Final = "the-playbook"
"""Stands where a run's playbook stands: after the arguments."""
_IDLE: Final = {
    "check": "asks for check mode",
    "syntax": "asks for a syntax check alone",
    "listtasks": "asks for a list of tasks alone",
    "listtags": "asks for a list of tags alone",
    "listhosts": "asks for a list of hosts alone",
    "step": "asks before each task, and nobody can answer",
}
"""Options with which a run does nothing, by their names in Ansible's parser."""
_SKIPS_ALL: Final = "all"

_MARKS: Final = ("{{", "{%", "{#")
_EXPRESSIONS: Final = frozenset({"when", "changed_when", "failed_when", "until"})
_UNTEMPLATED: Final = frozenset({"name"})
"""Keywords of tasks and plays in which a broken template breaks nothing."""
_SECTIONS: Final = ("block", "rescue", "always")
_PLAY_TASKS: Final = ("pre_tasks", "tasks", "post_tasks")
_VAULT: Final = "$ANSIBLE_VAULT;"
_OWN_DELIMITERS: Final = "#jinja2:"

Problem = dict[str, Any]
"""``line`` (1-based, or None), ``found`` and ``expected``."""


class _UsageError(Exception):
    """The parser refuses the arguments. The message is its own."""


class _PrintsAndEndsError(Exception):
    """An argument has Ansible print something and end."""


def refusal(request: Mapping[str, Any]) -> str:
    """Return why a run with these ``arguments`` would do nothing, or could not begin; else nothing."""
    cli = PlaybookCLI(["ansible-playbook", *request["arguments"], _PLAYBOOK])
    cli.init_parser()
    cli.parser.error = _raise_usage_error
    cli.parser.exit = _raise_end
    try:
        options = cli.post_process_args(cli.parser.parse_args(cli.args[1:]))
    except (_UsageError, AnsibleError) as error:
        return f"expected arguments of ansible-playbook: {_one_line(str(error))}"
    except _PrintsAndEndsError:
        return _idle("has Ansible print something and end")
    for option, what in _IDLE.items():
        if getattr(options, option):
            return _idle(what)
    return _idle("skips every task") if _SKIPS_ALL in options.skip_tags else ""


def _idle(what: str) -> str:
    return (
        f"which {what}: a run would do nothing and count as a success all the same; expected arguments with which a "
        "run does its work"
    )


def _raise_usage_error(message: str) -> NoReturn:
    raise _UsageError(message)


def _raise_end(*_status_and_message: object) -> NoReturn:
    raise _PrintsAndEndsError


def search_paths(_request: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return where Ansible looks for roles and for collections."""
    return {
        "roles": list(map(str, constants.DEFAULT_ROLES_PATH or ())),
        "collections": list(map(str, AnsibleCollectionConfig.collection_paths)),
    }


def problems(request: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong with ``files``, each with its ``path``."""
    for directory in request["plays"]:
        add_all_plugin_dirs(directory)
    AnsibleCollectionConfig.playbook_paths = request["plays"]
    for file in request["files"]:
        if file["role"]:
            add_all_plugin_dirs(file["role"])
    inspection = _Inspection()
    return [{"path": file["path"], **problem} for file in request["files"] for problem in inspection.of_file(file)]


class _Inspection:
    """Looks at files as Ansible would load them."""

    def __init__(self) -> None:
        self._loader = DataLoader()
        self._environment = Templar(loader=self._loader, variables={}).environment
        self._by_kind: Mapping[str, Callable[[Any, list[str]], Iterator[Problem]]] = {
            "playbook": self._playbook,
            "tasks": self._tasks,
            "handlers": self._handlers,
            "vars": self._values,
            "meta": self._nothing,
        }

    def of_file(self, file: Mapping[str, Any]) -> Iterator[Problem]:
        path = Path(file["path"])
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            yield _problem(None, f"a file that cannot be read ({_one_line(str(error))})", "text in UTF-8")
            return
        if text.startswith(_VAULT):
            return
        if file["kind"] == "template":
            yield from self._template_file(text)
            return
        try:
            content = _load(self._loader, str(path))
            yield from self._by_kind[file["kind"]](content, file["collections"])
        except AnsibleError as error:
            yield _problem(_line_of(error.obj), f"text that is no YAML ({_one_line(error.message)})", "YAML")
        except RecursionError:
            yield _problem(None, "values that hold themselves, or are nested too deeply", "a finite value")

    def _template_file(self, text: str) -> Iterator[Problem]:
        if not text.startswith(_OWN_DELIMITERS):
            yield from self._template(text, 0)

    def _template(self, text: str, line: int | None) -> Iterator[Problem]:
        """Yield what is wrong with a template. ``line``: 0 where it is a whole file, so that its own lines count."""
        try:
            self._environment.parse(text)
        except TemplateSyntaxError as error:
            yield _problem(line or error.lineno, f"a template with an error ({error.message})", "Jinja")

    def _expression(self, text: str, line: int | None) -> Iterator[Problem]:
        if text.startswith(_MARKS):
            yield from self._template(text, line)
            return
        try:
            parser = Parser(self._environment, text, state="variable")
            parser.parse_expression()
            if not parser.stream.eos:
                parser.fail("chunk after expression")
        except TemplateSyntaxError as error:
            yield _problem(line, f"a condition with an error ({error.message})", "a Jinja expression")

    def _playbook(self, plays: Any, _collections: list[str]) -> Iterator[Problem]:
        if not isinstance(plays, list):
            yield _problem(_line_of(plays), _called(plays), "a list of plays")
            return
        for play in plays:
            if not isinstance(play, dict):
                yield _problem(_line_of(play), _called(play), "a play")
                continue
            for section in _PLAY_TASKS:
                yield from self._tasks(play.get(section), play.get("collections") or [])
            yield from self._handlers(play.get("handlers"), play.get("collections") or [])
            yield from self._keywords(play, {*_PLAY_TASKS, "handlers"})

    def _handlers(self, tasks: Any, collections: list[str]) -> Iterator[Problem]:
        yield from self._tasks(tasks, collections, Handler)

    def _tasks(self, tasks: Any, collections: list[str], kind: type[Task] = Task) -> Iterator[Problem]:
        if tasks is not None and not isinstance(tasks, list):
            yield _problem(_line_of(tasks), _called(tasks), "a list of tasks")
            return
        for task in tasks or ():
            if not isinstance(task, dict):
                yield _problem(_line_of(task), _called(task), "a task")
                continue
            if Block.is_block(task):
                for section in _SECTIONS:
                    yield from self._tasks(task.get(section), collections, kind)
            else:
                yield from self._task(task, collections, kind)
            yield from self._keywords(task, _SECTIONS)

    def _task(self, task: Any, collections: list[str], kind: type[Task]) -> Iterator[Problem]:
        given = task
        if collections and "collections" not in task:
            given = task.copy()
            given["collections"] = list(collections)
        try:
            kind.load(given, loader=self._loader)
        except AnsibleError as error:
            yield _problem(_line_of(task), f"a task that Ansible refuses ({_one_line(error.message)})", "one it takes")

    def _keywords(self, keywords: Mapping[str, Any], but: Any) -> Iterator[Problem]:
        """Yield broken templates of a play, block or task, in any of its keywords ``but`` some."""
        for key, value in keywords.items():
            if key in _EXPRESSIONS:
                for condition in value if isinstance(value, list) else [value]:
                    if isinstance(condition, str):
                        yield from self._expression(condition.strip(), _line_of(condition) or _line_of(keywords))
            elif key not in _UNTEMPLATED and key not in but:
                for problem in self._values(value, []):
                    yield {**problem, "line": problem["line"] or _line_of(keywords)}

    def _values(self, value: Any, _collections: list[str]) -> Iterator[Problem]:
        yield from self._templates_in(value, None, set(), set())

    def _templates_in(self, value: Any, line: int | None, around: set[int], seen: set[int]) -> Iterator[Problem]:
        """Yield broken templates in a value, at any depth; ``line`` is that of what it stands in."""
        line = _line_of(value) or line
        if isinstance(value, str):
            if any(mark in value for mark in _MARKS) and is_trusted(value):
                yield from self._template(value, line)
            return
        if not isinstance(value, (dict, list)) or id(value) in seen - around:
            return
        if id(value) in around:
            yield _problem(line, "an anchor that holds an alias to itself", "a finite value")
            return
        around.add(id(value))
        seen.add(id(value))
        for child in (*value.keys(), *value.values()) if isinstance(value, dict) else value:
            yield from self._templates_in(child, line, around, seen)
        around.remove(id(value))

    def _nothing(self, _content: Any, _collections: list[str]) -> Iterator[Problem]:
        yield from ()


def _load(loader: DataLoader, path: str) -> Any:
    """Return the content of a YAML file, its texts trusted as those of roles and playbooks are."""
    if "trusted_as_template" in signature(DataLoader.load_from_file).parameters:
        return loader.load_from_file(path, cache="none", trusted_as_template=True)
    return loader.load_from_file(path, cache="none")


def _line_of(value: object) -> int | None:
    """Return the line in which a value was written; None where that is not known."""
    position = getattr(value, "ansible_pos", None)  # until 2.18
    if position is not None:
        return int(position[1]) or None
    origin = _origin_of(value)
    return None if origin is None else origin.line_num


def _no_origin(_value: object) -> Any:
    return None


def _find_origins() -> Callable[[object], Any]:
    try:
        from ansible._internal._datatag._tags import Origin  # noqa: PLC0415 - of 2.19 and newer
    except ImportError:
        return _no_origin
    return lambda value: value if isinstance(value, Origin) else Origin.get_tag(value)


_origin_of: Final = _find_origins()


def _problem(line: int | None, found: str, expected: str) -> Problem:
    return {"line": line, "found": found, "expected": expected}


def _called(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case _:
            return "text" if isinstance(value, str) else "a value of another kind"


def _one_line(text: str) -> str:
    """Return the first paragraph of a message: older cores say the place in further ones."""
    return " ".join(text.strip().partition("\n\n")[0].split())


_ANSWERS: Final[Mapping[str, Callable[[Mapping[str, Any]], object]]] = {
    "refusal": refusal,
    "search_paths": search_paths,
    "problems": problems,
}


def main() -> None:
    """Answer until there are no more requests."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # Ansible's own output is no answer
    init_plugin_loader()
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(_ANSWERS[request["question"]](request)), file=answers, flush=True)


if __name__ == "__main__":
    main()
