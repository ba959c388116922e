"""A plugin whose code is kept is imported as any other: anew in each run, under the name and from the file it has."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import Any

from reconcile_runner.execution.forkserver.patches import plugincode
from tests.support import fresh

SOURCE = "import sys\nPLACE = __file__\nRUNS = []\ndef fail():\n    raise ValueError('here')\n"


def load_source(plugins: Any, name: str, path: Path) -> Any:
    """Have a loader of plugins import a file; ansible-core 2.19 has given the name another name."""
    load = plugins._load_module_source
    first, *_ = inspect.signature(load).parameters
    return load(**{first: name, "path": str(path)})


def imported(root: str) -> Any:
    """Import plugins by Ansible's loader; return of each where it says to be from, or how the import fails."""
    fresh.load_ansible()
    loader: Any = importlib.import_module("ansible.plugins.loader")
    directory = Path(root)
    plugincode.install(sorted(directory.glob("*.py")))
    # Which one is compiled again can be told: what is kept is of the text that was there before.
    (directory / "known.py").write_text(f"{SOURCE}CHANGED = True\n", encoding="utf-8")
    (directory / "new.py").write_text(SOURCE, encoding="utf-8")
    (directory / "broken.py").write_text(SOURCE, encoding="utf-8")

    def load(name: str, path: Path) -> Any:
        try:
            module = load_source(loader.callback_loader, name, path)
        except SyntaxError as error:
            return type(error).__name__
        module.RUNS.append(name)
        function = module.fail.__code__
        # Before ansible-core 2.19 the loader puts its own package before the name.
        own = module.__name__.removeprefix("ansible.plugins.callback.")
        return [own, module.PLACE, function.co_filename, module.RUNS, "CHANGED" in vars(module)]

    return [
        load(f"{name}_{number}", directory / f"{name}.py") for name in ("known", "new", "broken") for number in "12"
    ]


def test_a_known_plugin_is_executed_for_each_import_and_not_compiled(tmp_path: Path) -> None:
    (tmp_path / "known.py").write_text(SOURCE, encoding="utf-8")
    (tmp_path / "broken.py").write_text("def (", encoding="utf-8")
    answers = fresh.call_with_ansible(imported, str(tmp_path))
    places = [str(tmp_path / f"{name}.py") for name in ("known", "known", "new", "new", "broken", "broken")]
    names = [f"{Path(place).stem}_{number}" for place, number in zip(places, "121212", strict=True)]
    expected = [[name, place, place, [name], False] for name, place in zip(names, places, strict=True)]
    assert answers == expected


def import_broken(root: str) -> Any:
    """Import a plugin that cannot be compiled, known or not."""
    fresh.load_ansible()
    loader: Any = importlib.import_module("ansible.plugins.loader")
    path = Path(root) / "broken.py"

    def outcome() -> str:
        try:
            load_source(loader.callback_loader, "broken", path)
        except SyntaxError as error:
            return str(error)
        return "imported"

    ordinary = outcome()
    plugincode.install([path, path.with_name("missing.py")])
    return [ordinary, outcome()]


def test_what_cannot_be_compiled_fails_in_the_run_in_the_same_words(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def (", encoding="utf-8")
    ordinary, kept = fresh.call_with_ansible(import_broken, str(tmp_path))
    assert kept == ordinary
    assert "broken.py" in ordinary
