"""The findings about all that watches run: one for each task and reason."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from jinja2 import nodes

from reconcile_runner.content.tasks import Task, TaskWalk
from reconcile_runner.content.unknowns import Unknowns
from reconcile_runner.content.yamlfiles import YamlFileError, text_of
from reconcile_runner.porting import refusals
from reconcile_runner.porting.expressions import has_own_settings, parse_expression, parse_template
from reconcile_runner.porting.names import Assignments, Names
from reconcile_runner.porting.requiredfields import required_fields
from reconcile_runner.porting.valuetypes import ValueType, types_of
from reconcile_runner.reconciler.finalizer import for_deletion
from reconcile_runner.watches.findings import Finding, FindingSeverity
from reconcile_runner.watches.loader import Lookup
from reconcile_runner.watches.watch import Watch

FIRST_STRICT_CORE: Final = (2, 19)
"""The first ansible-core whose templates keep types, and whose conditions must be booleans."""

_CONDITIONS: Final = ("when", "until", "failed_when", "changed_when", "break_when")
_ASSERT: Final = re.compile(r"((ansible\.(builtin|legacy)\.)?)(assert|fail)")
_NO_TEMPLATES: Final = frozenset({"name", "register", "block", "rescue", "always", *_CONDITIONS})
_WHOLE_TEMPLATE: Final = re.compile(r"\s*\{\{(?P<expression>.*)\}\}\s*", re.DOTALL)


def is_strict(core: str) -> bool:
    """Whether an ansible-core of this version refuses what is looked for here; False where the version says nothing."""
    found = re.match(r"(\d+)\.(\d+)", core)
    return found is not None and (int(found[1]), int(found[2])) >= FIRST_STRICT_CORE


def refused_tasks(watches: Iterable[Watch], lookup: Lookup) -> list[Finding]:
    """Return a warning for each task that a strict core will refuse, in the order of files and lines."""
    findings: dict[Finding, None] = {}
    for watch in watches:
        always_there = required_fields(watch, lookup.working_directory)
        for run in (watch, for_deletion(watch)) if watch.finalizer else (watch,):
            findings |= dict.fromkeys(_of_run(run, lookup, always_there))
    return sorted(findings, key=lambda finding: (str(finding.file), finding.line or 0))


def _of_run(run: Watch, lookup: Lookup, always_there: frozenset[str]) -> Iterator[Finding]:
    walk = TaskWalk(Unknowns())
    tasks = list(walk.watch(run, lookup))
    assignments = Assignments.of(tasks)
    asserted = frozenset().union(*(_asked_for(task.keywords) for task in tasks if _asserts(task)))
    for task in tasks:
        names = Names(task, assignments, always_there)
        guarded = asserted.union(*(_asked_for(one) for one in (*task.around, task.keywords)))
        for reason in dict.fromkeys(_of_task(task, names, guarded)):
            message = f"{task.place.task}: {reason}" if task.place.task else reason
            yield _finding(task.place.file, task.line, message)
    for role in dict.fromkeys(task.search.role for task in tasks):
        if role is not None:
            of_role = [task for task in tasks if task.search.role == role]
            asked_for = asserted.union(*(_asked_for(task.keywords) for task in of_role))
            files = [file for file in walk.files if file.is_relative_to(role / "templates")]
            yield from _of_templates(files, Names(of_role[0], assignments, always_there), asked_for)


def _of_templates(files: Sequence[Path], names: Names, guarded: frozenset[str]) -> Iterator[Finding]:
    """Yield what is wrong in a role's template files, which may include one another."""
    trees = {file: tree for file in files if (tree := _template_in(file)) is not None}
    for tree in trees.values():
        names = names.inside(tree)
    for file, tree in trees.items():
        for line, reason in refusals.of_expression(tree, names, guarded | _defined_in(tree)):
            yield _finding(file, line, reason)


def _template_in(file: Path) -> nodes.Template | None:
    try:
        text = text_of(file)
    except YamlFileError:  # no text
        return None
    return None if has_own_settings(text) else parse_template(text)


def _finding(file: Path, line: int | None, message: str) -> Finding:
    shown = file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file
    return Finding(FindingSeverity.WARNING, shown, message, line)


def _of_task(task: Task, names: Names, guarded: frozenset[str]) -> Iterator[str]:
    for keyword, condition in _conditions(task.keywords):
        for reason in _of_condition(condition, names, guarded):
            yield f"{keyword}: {reason}"
    for keyword, text in _texts(task.keywords):
        tree = parse_template(text)
        if tree is not None:
            for _, reason in refusals.of_expression(tree, names.inside(tree), guarded | _defined_in(tree)):
                yield f"{keyword}: {reason}"


def _of_condition(condition: object, names: Names, guarded: frozenset[str]) -> Iterator[str]:
    if not isinstance(condition, str):
        yield from refusals.of_condition(str(condition), names.of_value(condition))
        return
    if not condition.strip():
        yield "found an empty condition, which 2.18 took for true; leave it out"
        return
    whole = _WHOLE_TEMPLATE.fullmatch(condition)
    text = " ".join((whole["expression"] if whole else condition).split())
    tree = parse_expression(text)
    if tree is None:
        return
    types = types_of(tree, names)
    # A text that a template gives is a condition itself.
    yield from refusals.of_condition(text, types - {ValueType.TEXT} if whole else types)
    for _, reason in refusals.of_expression(_with_root(tree), names, guarded):
        yield reason


def _with_root(tree: nodes.Expr) -> nodes.Node:
    """Return a node of which the tree is a child: a search looks at children alone."""
    return nodes.Output([tree])


def _conditions(keywords: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """Yield a task's conditions, each with its keyword."""
    found = [(keyword, keywords.get(keyword)) for keyword in _CONDITIONS]
    for module, args in keywords.items():
        if _is_assert(module) and isinstance(args, dict):
            found.append(("that", args.get("that")))
    for keyword, value in found:
        for condition in value if isinstance(value, list) else [value]:
            if condition is not None:
                yield keyword, condition


def _is_assert(module: str) -> bool:
    found = _ASSERT.fullmatch(str(module))
    return found is not None and found[4] == "assert"


def _asserts(task: Task) -> bool:
    """Whether a task ends the play where its conditions say so."""
    return any(_ASSERT.fullmatch(str(key)) for key in task.keywords)


def _asked_for(keywords: Mapping[str, Any]) -> frozenset[str]:
    """Return the names of which conditions ask whether they are defined."""
    found: frozenset[str] = frozenset()
    for _, condition in _conditions(keywords):
        tree = parse_expression(condition) if isinstance(condition, str) else None
        if tree is not None:
            found |= _defined_in(_with_root(tree))
    return found


def _defined_in(tree: nodes.Node) -> frozenset[str]:
    found = set()
    for test in tree.find_all(nodes.Test):
        if test.name in {"defined", "undefined"}:
            found |= {name.name for name in _with_root(test.node).find_all(nodes.Name)}
    if any(name.name == "vars" for name in tree.find_all(nodes.Name)):
        found |= {str(const.value) for const in tree.find_all(nodes.Const)}
    return frozenset(found)


def _texts(keywords: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for keyword, value in keywords.items():
        if keyword not in _NO_TEMPLATES:
            yield from ((keyword, text) for text in _texts_in(value) if not _is_assert(keyword))


def _texts_in(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for item in value.values():
                yield from _texts_in(item)
        case list():
            for item in value:
                yield from _texts_in(item)
