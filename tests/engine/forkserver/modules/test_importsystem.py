"""Two packages of one name live in one process, and each import system knows its own."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from reconcile_runner.execution.forkserver.modules.importsystem import ImportSystem, forget
from tests.support import fresh


def of_two(root: str) -> Any:
    """Load ``ansible`` from two places; return what each import system imports, and what is the same for both."""
    before = ImportSystem.current()
    systems, answers = [], []
    for name in ("controller", "target"):
        sys.path.insert(0, f"{root}/{name}")
        importlib.import_module("ansible")
        systems.append(ImportSystem.current())
        before.install(instead_of=systems[-1])
    answers.append(["ansible" in sys.modules, ImportSystem.current() == before])
    current = before
    for system in (*systems, systems[0]):
        system.install(instead_of=current)
        current = system
        answers.append([importlib.import_module("ansible").NAME, importlib.import_module("ansible.more").NAME])
        forget(["ansible.more"])
    return answers


def write(root: Path, *names: str) -> None:
    for name in names:
        (root / name / "ansible").mkdir(parents=True)
        (root / name / "ansible" / "__init__.py").write_text(f"NAME = '{name}'\n", encoding="utf-8")
        (root / name / "ansible" / "more.py").write_text(f"NAME = 'more of {name}'\n", encoding="utf-8")


def test_each_import_system_imports_its_own(tmp_path: Path) -> None:
    write(tmp_path, "controller", "target")
    controller, target = (["controller", "more of controller"], ["target", "more of target"])
    assert fresh.call(of_two, str(tmp_path)) == [[False, True], controller, target, controller]


def within(root: str) -> Any:
    """Import in a block, and fail in another; return what is known after each."""
    before = ImportSystem.current()
    sys.path.insert(0, f"{root}/controller")
    controller = ImportSystem.current()
    before.install(instead_of=controller)
    with controller.installed(instead_of=before):
        importlib.import_module("ansible.more")
    known = [sorted(each for each in controller.modules if each.startswith("ansible")), "ansible" in sys.modules]
    try:
        with controller.installed(instead_of=before):
            int(sys.modules["ansible.more"].NAME)
    except ValueError as error:
        return [*known, f"not a number: {str(error).split(chr(39))[1]}", ImportSystem.current() == before]


def test_what_is_imported_in_a_block_belongs_to_its_import_system(tmp_path: Path) -> None:
    write(tmp_path, "controller")
    assert fresh.call(within, str(tmp_path)) == [
        ["ansible", "ansible.more"],
        False,
        "not a number: more of controller",
        True,
    ]


def test_to_forget_what_is_not_loaded_is_nothing() -> None:
    forget(["no.such.module"])
    assert "no.such.module" not in sys.modules
