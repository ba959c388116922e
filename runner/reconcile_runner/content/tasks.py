"""Walks through the tasks of roles and playbooks, and what they include.

Each comes out as a ``Task``; ``calls_of`` says which modules of interest it calls.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from reconcile_runner.content.filesearch import FileSearch
from reconcile_runner.content.modulenames import canonical
from reconcile_runner.content.readfile import FileKind, MissingFile, ReadFile
from reconcile_runner.content.unknowns import Place, Unknowns
from reconcile_runner.content.variables import Variables, is_template
from reconcile_runner.content.yamlfiles import WrittenMapping, YamlFileError, documents
from reconcile_runner.watches.lookup import Lookup
from reconcile_runner.watches.watch import Watch

_BLOCK: Final = ("block", "rescue", "always")
_PLAY_TASKS: Final = ("pre_tasks", "tasks", "post_tasks", "handlers")
_INCLUDE_TASKS: Final = frozenset({"include_tasks", "import_tasks", "include"})
_INCLUDE_ROLE: Final = frozenset({"include_role", "import_role"})
_LOOPS: Final = ("loop", "with_items", "with_list")
_GROUP: Final = "group"
_MAIN: Final = "main"
_MAX_LOOP_ITEMS: Final = 1000
_MAX_DEPTH: Final = 40
"""Files that include one another. What needs more is taken for endless, and Python's stack has an end."""
_MAX_READS: Final = 1000
"""How often one file is read, each time with other variables."""
_FQCN: Final = re.compile(r"\w+\.\w+\.\w+")
_YAML_SUFFIXES: Final = frozenset({".yml", ".yaml", ".json"})
_ROLE_OF_COLLECTION: Final = re.compile(r"/ansible_collections/(?P<collection>\w+/\w+)/roles/")
_WORDS: Final = re.compile(r"""(\w+)=((?:"[^"]*"|'[^']*'|\{\{.*?\}\}|[^\s])+)""")


@dataclass(frozen=True, slots=True)
class _Context:
    """What a task inherits: variables, module defaults, the places of files, and what stands around it."""

    variables: Variables
    search: FileSearch
    defaults: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    around: tuple[Mapping[str, Any], ...] = ()
    collections: tuple[str, ...] = ()
    depth: int = 0

    def inside(self, outer: Mapping[str, Any]) -> _Context:
        """Return the context inside a play, a block or an include."""
        defaults = {**self.defaults, **_defaults_of(outer.get("module_defaults"))}
        variables = self.variables.with_overrides(outer.get("vars"))
        return replace(self, variables=variables, defaults=defaults, around=(*self.around, outer))

    def as_read(self, file: Path, kind: FileKind) -> ReadFile:
        """Return a file that is read in this context."""
        return ReadFile(file, kind, self.search.role, self.collections)


@dataclass(frozen=True, slots=True)
class Task:
    """A task, an include, a block, or an entry of ``roles:``, as it is written.

    ``variables`` hold inside it. ``around`` are the plays, blocks and includes that it stands in, outermost first.
    """

    place: Place
    keywords: Mapping[str, Any]
    variables: Variables
    search: FileSearch
    around: tuple[Mapping[str, Any], ...] = ()
    defaults: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def module(self) -> str:
        """Return the module by its one name here; empty for one of no interest, and for a block."""
        return _module_of(self.keywords)[0]

    @property
    def arguments(self) -> dict[str, Any]:
        """Return what the task gives its module, as it is written, with defaults of the module."""
        module, args = _module_of(self.keywords)
        return {**self.defaults.get(_GROUP, {}), **self.defaults.get(module, {}), **args}

    @property
    def is_block(self) -> bool:
        """Whether this is a block, whose tasks come out by themselves."""
        return "block" in self.keywords

    @property
    def line(self) -> int | None:
        """Return the line (1-based) in which it begins; None where it was not read from a file."""
        return self.keywords.line if isinstance(self.keywords, WrittenMapping) else None


@dataclass(frozen=True, slots=True)
class Call:
    """A task that calls a module, with its arguments; known variables are resolved."""

    place: Place
    module: str
    args: Mapping[str, Any]
    variables: Variables
    search: FileSearch


def calls_of(tasks: Iterable[Task]) -> Iterator[Call]:
    """Yield the calls of modules of interest, one for each turn of a task's loop."""
    for task in tasks:
        module, args = task.module, task.arguments
        if module and module not in _INCLUDE_TASKS | _INCLUDE_ROLE:
            for variables in _loop(task.keywords, task.variables):
                yield Call(task.place, module, variables.resolve(args), variables, task.search)


class TaskWalk:
    """One walk through all that a watch runs with one set of variables.

    Iterate over what ``watch``, ``role`` or ``playbook`` gives; ``files`` are those that belong to it, ``missing``
    those that are named by no template and are nowhere.
    """

    def __init__(self, unknowns: Unknowns) -> None:
        self._unknowns = unknowns
        self._visited: dict[Path, set[str]] = {}
        self.files: dict[Path, ReadFile] = {}
        self.missing: list[MissingFile] = []

    def watch(self, watch: Watch, lookup: Lookup) -> Iterator[Task]:
        """Yield the tasks of the role or playbook that a watch runs, with its variables."""
        variables, search = Variables(top=(watch.vars,)), FileSearch(lookup, lookup.working_directory)
        if watch.playbook is not None:
            yield from self.playbook(watch.playbook, variables, search)
        elif watch.role is not None:
            yield from self.role(watch.role, variables, search)

    def role(self, directory: Path, variables: Variables, search: FileSearch) -> Iterator[Task]:
        """Yield the tasks of a role."""
        yield from self._role(directory, _Context(variables, search), {}, _MAIN)

    def playbook(self, file: Path, variables: Variables, search: FileSearch) -> Iterator[Task]:
        """Yield the tasks of a playbook."""
        yield from self._playbook(file, _Context(variables, search))

    def _playbook(self, file: Path, context: _Context) -> Iterator[Task]:
        if not self._is_new(file, context):
            return
        inner = replace(context, depth=context.depth + 1)
        for play in self._listed(file, FileKind.PLAYBOOK, context):
            imported = next((play[key] for key in play if str(key).rpartition(".")[2] == "import_playbook"), None)
            if isinstance(imported, str):
                yield from self._imported(file, play, imported, inner)
            else:
                yield from self._play(play, file, inner)

    def _imported(self, file: Path, entry: Mapping[str, Any], name: str, context: _Context) -> Iterator[Task]:
        found = file.parent / str(context.variables.resolve(name))
        if found.is_file():
            yield from self._playbook(found, context)
            return
        self._add_unknown(Place(file), "playbook", name, "one that can be found: add what it needs by hand")
        if not _FQCN.fullmatch(name):
            self._add_missing(Place(file), entry, "playbook", name, "one that can be found")

    def _play(self, play: Mapping[str, Any], file: Path, context: _Context) -> Iterator[Task]:
        search = replace(context.search.beside(file), play=file.parent)
        variables = context.variables.with_fixed({"playbook_dir": str(file.parent)})
        collections = tuple(_texts(play.get("collections")))
        context = replace(context, search=search, variables=variables, collections=collections).inside(play)
        for name in _texts(play.get("vars_files")):
            for found in context.search.files("vars", name):
                loaded = self._loaded(found, FileKind.VARS, context)
                context = replace(context, variables=context.variables.with_overrides(loaded))
        for entry in _listed_in(play, "roles"):
            yield from self._role_entry(entry, context, Place(file), play)
        for section in _PLAY_TASKS:
            yield from self._tasks(play.get(section), file, context)

    def _role_entry(self, entry: object, context: _Context, place: Place, around: Mapping[str, Any]) -> Iterator[Task]:
        """Follow an entry of ``roles:`` of a play, or of ``dependencies:`` of a role, both ``around`` it."""
        if isinstance(entry, str):
            entry = {"role": entry}
        if not isinstance(entry, dict):
            return
        params = {key: value for key, value in entry.items() if key not in {"role", "name", "vars"}}
        yield Task(place, entry, context.inside(entry).variables, context.search, context.around)
        given = entry.get("vars")
        params |= given if isinstance(given, dict) else {}
        written = entry if isinstance(entry, WrittenMapping) else around
        name = str(entry.get("role") or entry.get("name") or "")
        yield from self._role_called(name, context, params, _MAIN, place, written)

    def _role_called(
        self, name: str, context: _Context, params: object, tasks_from: str, place: Place, written: Mapping[str, Any]
    ) -> Iterator[Task]:
        resolved = str(context.variables.resolve(name))
        directory = context.search.role_named(resolved, context.collections)
        if directory is None:
            self._add_unknown(place, "role", resolved, "one that can be found: add what it needs by hand")
            self._add_missing(place, written, "role", name, "one that can be found")
            return
        yield from self._role(directory, context, params, tasks_from)

    def _role(self, directory: Path, context: _Context, params: object, tasks_from: str) -> Iterator[Task]:
        search = replace(context.search, role=directory, directory=directory / "tasks")
        context = replace(context, search=search, collections=self._collections_of(directory))
        own = {"role_path": str(directory), "role_name": directory.name}
        variables = context.variables.with_fixed(own)
        for file in _files_of(directory / "vars", _MAIN):
            variables = variables.with_overrides(self._loaded(file, FileKind.VARS, context))
        for file in _files_of(directory / "defaults", _MAIN):
            variables = variables.with_defaults(self._loaded(file, FileKind.VARS, context))
        context = replace(context, variables=variables.with_overrides(params))
        for folder, kind in (("vars", FileKind.VARS), ("defaults", FileKind.VARS), ("templates", FileKind.TEMPLATE)):
            for file in _all_files(directory / folder):
                if kind is FileKind.TEMPLATE or file.suffix in _YAML_SUFFIXES:
                    self.files.setdefault(file, context.as_read(file, kind))
        for file in _files_of(directory / "meta", _MAIN):
            meta = self._loaded(file, FileKind.META, context)
            for entry in _listed_in(meta, "dependencies"):
                yield from self._role_entry(entry, context, Place(file), meta)
        for file in _files_of(directory / "tasks", tasks_from):
            yield from self._file(file, context, FileKind.TASKS)
        for file in _files_of(directory / "handlers", _MAIN):
            yield from self._file(file, context, FileKind.HANDLERS)

    def _collections_of(self, directory: Path) -> tuple[str, ...]:
        """Return the collections of a role: its own, and those that its metadata names."""
        own = _ROLE_OF_COLLECTION.search(str(directory))
        named = [own["collection"].replace("/", ".")] if own else []
        for file in _files_of(directory / "meta", _MAIN):
            with suppress(YamlFileError):
                named += [name for meta in documents(file)[:1] for name in _texts(_value_in(meta, "collections"))]
        return tuple(dict.fromkeys(named))

    def _file(self, file: Path, context: _Context, kind: FileKind) -> Iterator[Task]:
        if self._is_new(file, context):
            inner = replace(context, search=context.search.beside(file), depth=context.depth + 1)
            yield from self._tasks(self._listed(file, kind, context), file, inner)

    def _tasks(self, tasks: object, file: Path, context: _Context) -> Iterator[Task]:
        for number, task in enumerate(tasks if isinstance(tasks, list) else (), 1):
            if isinstance(task, dict):
                yield from self._task(task, Place(file, f"task {task.get('name') or number!r}"), context)

    def _task(self, task: Mapping[str, Any], place: Place, context: _Context) -> Iterator[Task]:
        if "register" in task:
            context.variables.assigned.names.add(str(task["register"]))
        inner = context.inside(task)
        found = Task(place, task, inner.variables, inner.search, context.around, inner.defaults)
        yield found
        if found.is_block:
            for section in _BLOCK:
                yield from self._tasks(task.get(section), place.file, inner)
            return
        module, args = found.module, found.arguments
        if module == "set_fact":
            context.variables.assigned.names.update(map(str, args))
        if module in _INCLUDE_TASKS | _INCLUDE_ROLE:
            for variables in _loop(task, inner.variables):
                yield from self._inside_include(module, args, place, task, replace(inner, variables=variables))

    def _inside_include(
        self, module: str, args: Mapping[str, Any], place: Place, task: Mapping[str, Any], context: _Context
    ) -> Iterator[Task]:
        if module in _INCLUDE_TASKS:
            yield from self._included(args, place, task, context)
            return
        tasks_from = str(context.variables.resolve(args.get("tasks_from", _MAIN)))
        yield from self._role_called(str(args.get("name", "")), context, task.get("vars"), tasks_from, place, task)

    def _included(
        self, args: Mapping[str, Any], place: Place, task: Mapping[str, Any], context: _Context
    ) -> Iterator[Task]:
        written = str(args.get("file") or args.get("_raw_params") or "")
        name = str(context.variables.resolve(written))
        found = context.search.files("tasks", name)
        if not found:
            self._add_unknown(place, "tasks", name, "a file that can be found: add by hand what its tasks need")
            self._add_missing(place, task, "tasks", written, "a file that can be found")
        for file in found:
            # A template may mean the very file that it stands in.
            if file != place.file or not is_template(name):
                yield from self._file(file, context, self.files[place.file].kind)

    def _is_new(self, file: Path, context: _Context) -> bool:
        """Tell whether a file is to be read.

        Not twice with the same variables, and not where files include one another without an end.
        """
        fingerprint = context.variables.fingerprint
        visited = self._visited.setdefault(file, set())
        if fingerprint in visited:
            return False
        if context.depth >= _MAX_DEPTH or len(visited) >= _MAX_READS:
            self._unknowns.add(Place(file), "files include one another too deeply, or too often, to read them all")
            return False
        visited.add(fingerprint)
        return True

    def _add_unknown(self, place: Place, what: str, name: str, expected: str) -> None:
        self._unknowns.add(place, f"found {what} {name!r}, expected {expected}")

    def _add_missing(self, place: Place, written: Mapping[str, Any], what: str, name: str, expected: str) -> None:
        """Take note of what is nowhere. ``name`` is as it is written: a template may mean anything."""
        if name and not is_template(name):
            line = written.line if isinstance(written, WrittenMapping) else None
            self.missing.append(MissingFile(place.file, line, f"found {what} {name!r}, expected {expected}"))

    def _listed(self, file: Path, kind: FileKind, context: _Context) -> list[dict[str, Any]]:
        loaded = self._loaded(file, kind, context)
        return [entry for entry in loaded if isinstance(entry, dict)] if isinstance(loaded, list) else []

    def _loaded(self, file: Path, kind: FileKind, context: _Context) -> Any:
        self.files.setdefault(file, context.as_read(file, kind))
        try:
            loaded = documents(file)
        except YamlFileError as error:
            self._unknowns.add(Place(file), f"{error}; nothing of it is among the rules")
            return None
        return loaded[0] if loaded else None


def _module_of(task: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return a task's module, by its one name here, and arguments.

    An empty name for those that are of no interest.
    """
    for key, value in task.items():
        name = canonical(key)
        if name:
            return name, _arguments(value, task)
        if key in {"action", "local_action"}:
            args = dict(value) if isinstance(value, dict) else {}
            called, _, text = (str(args.pop("module", "")), "", "") if args else str(value).partition(" ")
            return canonical(called), args or _arguments(text, task)
    return "", {}


def _arguments(value: object, task: Mapping[str, Any]) -> dict[str, Any]:
    further = task.get("args")
    found: dict[str, Any] = dict(further) if isinstance(further, dict) else {}
    if isinstance(value, dict):
        return {**found, **value}
    if isinstance(value, str):
        words = {name: text.strip("'\"") for name, text in _WORDS.findall(value)}
        return {**found, "_raw_params": value, **words}
    return found


def _defaults_of(module_defaults: object) -> dict[str, dict[str, Any]]:
    """Return defaults by module.

    By ``_GROUP`` those of a group, which are taken for those of every module.
    """
    found: dict[str, dict[str, Any]] = {}
    for name, args in module_defaults.items() if isinstance(module_defaults, dict) else ():
        if not isinstance(args, dict):
            continue
        module = _GROUP if str(name).startswith("group/") else canonical(str(name))
        if module:
            found[module] = {**found.get(module, {}), **args}
    return found


def _loop(task: Mapping[str, Any], variables: Variables) -> Iterator[Variables]:
    """Yield the variables of each turn of a task's loop.

    Once those that there are, where the items are not known.
    """
    control = task.get("loop_control")
    name = str(control.get("loop_var", "item")) if isinstance(control, dict) else "item"
    listed = next((variables.resolve(task[key]) for key in _LOOPS if key in task), None)
    if not isinstance(listed, list):
        yield variables
        return
    for item in listed[:_MAX_LOOP_ITEMS]:
        # An item made from that of a loop around grows with each turn where files include one another.
        is_known = not (is_template(str(item)) and re.search(rf"\b{re.escape(name)}\b", str(item)))
        yield variables.with_loop_item(name, item if is_known else f"{{{{ {name} }}}}")


def _value_in(mapping: object, key: str) -> object:
    return mapping.get(key) if isinstance(mapping, dict) else None


def _listed_in(mapping: object, key: str) -> list[object]:
    value = _value_in(mapping, key)
    return value if isinstance(value, list) else []


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _files_of(directory: Path, name: str) -> list[Path]:
    """Return the YAML file of a name, or the files of a directory of that name."""
    for candidate in (directory / name, *(directory / f"{name}{suffix}" for suffix in (".yml", ".yaml", ".json"))):
        if candidate.is_file():
            return [candidate]
        if candidate.is_dir():
            return [path for path in _all_files(candidate) if path.suffix in _YAML_SUFFIXES]
    return []


def _all_files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file())
