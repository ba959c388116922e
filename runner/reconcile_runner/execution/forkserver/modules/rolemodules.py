"""Builds the zips of modules that roles and playbooks name, before the first run.

Tasks are read, nothing is run. Modules that are not found so (of a role that is included, or chosen by an action) are
prepared after the first run that uses them.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

_TASKS: Final = ("tasks", "handlers")
_BLOCKS: Final = ("block", "rescue", "always", "tasks", "handlers", "pre_tasks", "post_tasks")
_SUFFIXES: Final = frozenset({".yml", ".yaml", ".json", ""})


def make_archives(sources: Iterable[Path]) -> None:
    """Build the zip of each module that ``sources`` name.

    They are directories of roles, and playbooks.
    """
    from ansible import constants  # noqa: PLC0415
    from ansible.executor.module_common import modify_module  # noqa: PLC0415 - not in the server
    from ansible.parsing.dataloader import DataLoader  # noqa: PLC0415
    from ansible.plugins.loader import module_loader  # noqa: PLC0415
    from ansible.template import Templar  # noqa: PLC0415

    templar = Templar(loader=DataLoader())
    variables = {"ansible_python_interpreter": sys.executable}
    for name in sorted({name for path in _files(sources) for name in _named(path)}):
        # A module that cannot be found or packed: the run that uses it reports that.
        with contextlib.suppress(Exception):
            path = module_loader.find_plugin(name, mod_type=".py")
            if path:
                modify_module(
                    module_name=name, module_path=path, module_args={}, templar=templar, task_vars=variables,
                    module_compression=constants.DEFAULT_MODULE_COMPRESSION,
                )  # fmt: skip


def _files(sources: Iterable[Path]) -> Iterator[Path]:
    for source in sources:
        if source.is_file():
            yield source
        for name in _TASKS:
            yield from (path for path in sorted((source / name).rglob("*")) if path.suffix in _SUFFIXES)


def _named(path: Path) -> set[str]:
    """Return the keys of a file's tasks, which include the names of modules."""
    from ansible.parsing.dataloader import DataLoader  # noqa: PLC0415

    found: set[str] = set()
    # A file that cannot be read or parsed: the run that uses it reports that.
    with contextlib.suppress(Exception):
        _collect(DataLoader().load_from_file(str(path), cache="none", unsafe=True), found)
    return found


def _collect(tasks: Any, found: set[str]) -> None:
    for task in tasks if isinstance(tasks, list) else ():
        if isinstance(task, dict):
            found.update(str(key) for key in task)
            for name in _BLOCKS:
                _collect(task.get(name), found)
