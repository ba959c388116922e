"""Runs every module of collections at least to its check of arguments, to hold the results of engines side by side."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import orjson

from reconcile_runner.execution.pool import Engine
from tests.support import fresh, jobevents
from tests.support.jobs import make_job

Results: TypeAlias = dict[str, dict[str, Any]]
"""What each module returned, by its name."""

Differences: TypeAlias = dict[str, dict[str, tuple[Any, Any]]]
"""The fields that differ, by module and field: what was found, and what was expected."""

_IMPORTS = re.compile(r"^\s*(?:from\s+(\S+)\s+import|import\s+(\S+))", re.MULTILINE)
"""Lines that import. Far quicker than to parse ten thousand files, and a line of a text that looks so does no harm."""

_RESULTS = frozenset({"runner_on_ok", "runner_on_failed", "runner_on_unreachable", "runner_on_skipped"})
_TIMEOUT = 1500.0
_STATEMENTS = ("IMPORT_PLAYBOOK", "IMPORT_ROLE", "IMPORT_TASKS", "INCLUDE_ROLE", "INCLUDE_TASKS", "META")
"""What Ansible documents as a module and is none: it has no code, and Ansible reads it when it reads a play."""


def files(collections: Iterable[str], path: str) -> dict[str, Path]:
    """Return the modules that ansible-doc finds in collections, or in all that are on the path, and their files."""
    found: dict[str, str] = fresh.call(_files, list(collections), ANSIBLE_COLLECTIONS_PATH=path)
    return {name: Path(file) for name, file in found.items()}


def _files(collections: list[str]) -> dict[str, str]:
    fresh.load_ansible()
    constants: Any = importlib.import_module("ansible.constants")
    listing: Any = importlib.import_module("ansible.plugins.list")
    statements = {name for kind in _STATEMENTS for name in getattr(constants, f"_ACTION_{kind}")}
    found = listing.list_plugins("module", collections or None)
    return {name: os.fsdecode(file) for name, (file, _) in sorted(found.items()) if name not in statements}


def one_of_each_kind(modules: dict[str, Path]) -> list[str]:
    """Return the first module of all that share the same code, and have or have not an action plugin of their name."""
    kinds: dict[object, str] = {}
    for name, file in modules.items():
        has_action = any((each / "action" / f"{file.stem}.py").exists() for each in file.parents[:4])
        kinds.setdefault((_shared_code(name, file), has_action), name)
    return sorted(kinds.values())


def _shared_code(name: str, file: Path) -> frozenset[str]:
    """Return which shared code a module imports, and the end of its file's name.

    A relative name is one of the module's own collection.
    """
    found = {word for words in _IMPORTS.findall(file.read_text(encoding="utf-8", errors="replace")) for word in words}
    shared = {word for word in found if "module_utils" in word}
    collection = ".".join(name.split(".")[:2])
    return frozenset({file.suffix, *(f"{collection} {word}" if word.startswith(".") else word for word in shared)})


def play(modules: Iterable[str]) -> list[dict[str, Any]]:
    """Return a play in which every module gets an argument that none has."""
    tasks = [
        {"name": name, name: {"no_such_argument": True}, "ignore_errors": True, "ignore_unreachable": True}
        for name in modules
    ]
    return [{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]


async def run(engine: Engine, root: Path, playbook: Sequence[dict[str, Any]], path: str) -> Results:
    """Run a playbook and return the result of each of its tasks, without what is each run's own."""
    root.mkdir(parents=True)
    file = root / "play.yml"
    file.write_bytes(orjson.dumps(playbook))
    job = make_job(root / "run", str(file), env={"ANSIBLE_COLLECTIONS_PATH": path}, timeout=_TIMEOUT)
    result = await engine.run(job, lambda _event: None)
    events = [jobevents.masked(event, root, job) for event in jobevents.kept(job)]
    found = {each["event_data"]["task"]: each["event_data"]["res"] for each in events if each["event"] in _RESULTS}
    assert found, result.message
    return found


def differences(found: Results, expected: Results) -> Differences:
    """Return what differs between the results of two engines."""
    different: Differences = {}
    for name in found.keys() | expected.keys():
        ours, theirs = found.get(name, {}), expected.get(name, {})
        fields = {
            field: (ours.get(field), theirs.get(field))
            for field in sorted(ours.keys() | theirs.keys())
            if ours.get(field) != theirs.get(field)
        }
        if fields:
            different[name] = fields
    return different
