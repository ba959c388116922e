"""Ansible's filters, lookups and tests are alone until anything else has a directory of its own."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from reconcile_runner.execution.forkserver.patches.plugins import OwnPlugins
from tests.support import fresh


def made() -> OwnPlugins:
    fresh.load_ansible()
    return OwnPlugins([Path(importlib.import_module("ansible").__path__[0])])


KINDS = ("filter", "lookup", "test", "connection", "shell", "become", "callback", "action")


def with_directories(root: str) -> Any:
    """Return whether Ansible's plugins are alone, in templates and in tasks: at first, and with one directory each."""
    plugins = made()
    loader: Any = importlib.import_module("ansible.plugins.loader")

    def are_alone() -> list[bool]:
        return [plugins.are_alone_in_templates(), plugins.are_alone_in_tasks()]

    def with_directory(kind: str) -> list[bool]:
        getattr(loader, f"{kind}_loader").add_directory(f"{root}/{kind}_plugins")
        return are_alone()

    return [are_alone(), *[fresh.in_a_fork(with_directory, kind) for kind in KINDS]]


def test_a_directory_of_plugins_is_noticed_and_no_other(tmp_path: Path) -> None:
    for kind in KINDS:
        (tmp_path / f"{kind}_plugins").mkdir()
    at_first, *with_one = fresh.call_with_ansible(with_directories, str(tmp_path))
    assert at_first == [True, True]
    assert with_one == [[False, False]] * 3 + [[True, False]] * 3 + [[True, True]] * 2


def alone() -> bool:
    return made().are_alone_in_tasks()


@pytest.mark.parametrize("kind", ["FILTER", "LOOKUP", "TEST", "CONNECTION", "BECOME"])
def test_a_directory_that_a_setting_names_is_noticed_where_it_is_there(tmp_path: Path, kind: str) -> None:
    assert fresh.call(alone, **{f"ANSIBLE_{kind}_PLUGINS": str(tmp_path)}) is False
    assert fresh.call(alone, **{f"ANSIBLE_{kind}_PLUGINS": str(tmp_path / "missing")}) is True


def held(root: str) -> list[bool]:
    """Ask for plugins below a root, beside it, in it by a link, and out of it by a link."""
    fresh.load_ansible()
    own = OwnPlugins([Path(root) / "own"])
    return [own.hold(f"{root}/{name}") for name in ("own/a.py", "own-other/a.py", "link/a.py", "own/out.py", "own")]


def test_only_what_is_below_the_roots_is_held(tmp_path: Path) -> None:
    for name in ("own", "own-other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.py").touch()
    (tmp_path / "link").symlink_to(tmp_path / "own")
    (tmp_path / "own" / "out.py").symlink_to(tmp_path / "own-other" / "a.py")
    assert fresh.call_with_ansible(held, str(tmp_path)) == [True, False, True, False, False]
