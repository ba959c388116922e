"""What is known of the variables of a walk through tasks: the types of what files give them, and who else may.

A variable that is known to no file is an object's field, perhaps; the object may lack it unless its CRD says otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from jinja2 import nodes

from reconcile_runner.compat import META_VARIABLE
from reconcile_runner.content.tasks import Task
from reconcile_runner.content.yamlfiles import YamlFileError, text_of
from reconcile_runner.porting.expressions import names_set_in, never_prints, only_expression, parse_template
from reconcile_runner.porting.valuetypes import ANYTHING, Types, ValueType, type_of_value, types_of

_MAX_DEPTH: Final = 10
"""Variables whose values name variables, before they are taken for circular."""

_OF_ANSIBLE: Final = re.compile(
    r"(ansible_\w+|hostvars|groups|group_names|inventory_\w+|play_hosts|playbook_dir|role_\w+|omit|vars|environment|_\w+)"
)
"""Names that Ansible, facts, or the operator give values."""

_OF_COMMANDS: Final[Mapping[str, ValueType]] = {
    "stdout": ValueType.TEXT,
    "stderr": ValueType.TEXT,
    "rc": ValueType.NUMBER,
    "stdout_lines": ValueType.LIST,
    "stderr_lines": ValueType.LIST,
}
_RESULTS: Final[Mapping[str, Mapping[str, ValueType]]] = {
    "command": _OF_COMMANDS,
    "shell": _OF_COMMANDS,
    "raw": _OF_COMMANDS,
    "script": _OF_COMMANDS,
    "k8s_info": {"resources": ValueType.LIST},
    "k8s": {"result": ValueType.MAPPING},
}
"""Members of what modules return, by the module's short name."""

_OF_THE_OBJECT: Final = frozenset({"name", "namespace"})
"""Members of the variable that holds an object's metadata; both are texts."""

_LOOPS: Final = re.compile(r"loop|with_\w+")
_MAY_SET_ANYTHING: Final = re.compile(r"(.*\.)?(include_vars|setup|gather_facts|set_stats|add_host|\w+_facts)")
_EMPTY: Final[Types] = frozenset({ValueType.NOTHING})


@dataclass(slots=True)
class Assignments:
    """What tasks give variables while they run, in any order.

    ``facts`` are the values that ``set_fact`` gives, ``registered`` the modules whose results are registered (None: of
    a loop), ``is_complete`` whether no task can set names that are not known.
    """

    facts: dict[str, list[tuple[Any, Task]]] = field(default_factory=dict)
    registered: dict[str, list[str | None]] = field(default_factory=dict)
    is_complete: bool = True

    @classmethod
    def of(cls, tasks: Iterable[Task]) -> Assignments:
        """Collect the assignments of a walk."""
        found = cls()
        for task in tasks:
            found._add(task)
        return found

    def _add(self, task: Task) -> None:
        if task.module == "set_fact":
            for name, value in task.arguments.items():
                self.facts.setdefault(name, []).append((value, task))
                self.is_complete &= "{" not in name
        if any(_MAY_SET_ANYTHING.fullmatch(str(key)) for key in task.keywords):
            self.is_complete = False
        if "register" in task.keywords:
            is_loop = any(_LOOPS.fullmatch(str(key)) for key in task.keywords)
            module = None if is_loop else task.module
            self.registered.setdefault(str(task.keywords["register"]), []).append(module)


@dataclass(frozen=True, slots=True)
class Names:
    """The variables that one task sees. ``always_there`` are fields that every object has, or rather its CRD."""

    task: Task
    assignments: Assignments
    always_there: frozenset[str] = frozenset()
    hidden: frozenset[str] = frozenset()
    depth: int = 0

    def of_name(self, name: str) -> Types:
        """Return the types that a variable can have; see ``Values``."""
        if name in self.hidden or name in self._loop_variables() or self.depth > _MAX_DEPTH:
            return ANYTHING
        found: Types = frozenset()
        for value, task in self.assignments.facts.get(name, ()):
            found |= Names(task, self.assignments, depth=self.depth + 1).of_value(value)
        if name in self.assignments.registered:
            found |= {ValueType.MAPPING}
        variables = self.task.variables
        layer = next((layer for layer in (*variables.top, *variables.layers) if name in layer), None)
        if layer is not None:
            # An empty value in a file of defaults stands for one that is to be given.
            found |= self._deeper().of_value(layer[name]) if layer[name] is not None else ANYTHING
        return found or ANYTHING

    def of_member(self, name: str, member: str) -> Types:
        """Return the types that a member of a variable can have; see ``Values``."""
        if name == META_VARIABLE:
            return frozenset({ValueType.TEXT}) if member in _OF_THE_OBJECT else ANYTHING
        modules = self.assignments.registered.get(name, [])
        if name in self.hidden or not modules or name in self.assignments.facts:
            return ANYTHING
        return frozenset(_RESULTS.get(module or "", {}).get(member, ValueType.UNKNOWN) for module in modules)

    def of_template_file(self, name: str) -> Types:
        """Return what a template file gives: nothing where it prints nothing; see ``Values``."""
        files = self.task.search.files("templates", name)
        if len(files) != 1 or not _never_prints(files[0]):
            return ANYTHING
        return _EMPTY

    def of_value(self, value: object) -> Types:
        """Return the types of a value as it is written, which may be a template."""
        template = parse_template(value) if isinstance(value, str) else None
        if template is None:
            return type_of_value(value)
        expression = only_expression(template)
        return type_of_value("") if expression is None else types_of(expression, self)

    def may_be_undefined(self, name: str) -> bool:
        """Whether nothing but an object's field can be meant by a name, and an object may lack it."""
        if name in self.hidden | self.always_there or name in self._loop_variables() or _OF_ANSIBLE.fullmatch(name):
            return False
        known = any(name in layer for layer in (*self.task.variables.top, *self.task.variables.layers))
        set_by_tasks = name in self.assignments.facts or name in self.assignments.registered
        return self.assignments.is_complete and not known and not set_by_tasks

    def inside(self, tree: nodes.Node) -> Names:
        """Return these as they are in a template that sets names itself."""
        hidden = self.hidden | frozenset(names_set_in(tree))
        return Names(self.task, self.assignments, self.always_there, hidden, self.depth)

    def _deeper(self) -> Names:
        return Names(self.task, self.assignments, self.always_there, self.hidden, self.depth + 1)

    def _loop_variables(self) -> frozenset[str]:
        names = set()
        for around in (*self.task.around, self.task.keywords):
            control = around.get("loop_control")
            control = control if isinstance(control, dict) else {}
            names |= {str(control.get("loop_var", "item"))}
            names |= {str(control[key]) for key in ("index_var", "extended") if isinstance(control.get(key), str)}
        return frozenset(names | {"ansible_loop"})


def _never_prints(file: Path) -> bool:
    try:
        return never_prints(text_of(file))
    except YamlFileError:
        return False
