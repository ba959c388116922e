"""What a process has imported before it is forked leaves no trace in a run that an import in the run would not."""

from __future__ import annotations

import atexit
import codecs
import importlib
import importlib.util
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from reconcile_runner.execution.forkserver import engine as forkserver
from reconcile_runner.execution.forkserver import server
from reconcile_runner.execution.forkserver.configuration import PER_RUN
from reconcile_runner.execution.forkserver.engine import ForkserverEngine
from reconcile_runner.execution.forkserver.modules import connection, preload
from reconcile_runner.execution.forkserver.modules.importsystem import ImportSystem
from reconcile_runner.execution.pool import Engine, SubprocessEngine
from tests.support import fresh
from tests.support.jobs import make_job
from tests.support.paths import REPOSITORY, TESTDATA

# Exhaustive, because that tier counts no coverage: to count it is a change of every process, which is what is compared.
pytestmark = [pytest.mark.timeout(300), pytest.mark.exhaustive]

IMPORTS = TESTDATA / "imports"
COLLECTIONS = [str(REPOSITORY / ".collections"), str(REPOSITORY / "collections")]
KUBERNETES = "ansible_collections.kubernetes.core.plugins.module_utils"

KNOWN = {
    "exits": ("certifi.core.exit_cacert_ctx", "multiprocessing.util._exit_function"),
    "log_handlers": ("logging.NullHandler",),
    "meta_path": ("six._SixMetaPathImporter",),
    "thread_exits": ("concurrent.futures.thread._python_exit",),
    "warnings": ("urllib3.exceptions.", "requests.exceptions."),
}
"""What imports add to a process, and the next test shows to be there in a module's process that imports as much."""


OF_THE_ENGINE = {("play", "collector"), ("play", "descriptors")}
"""What is meant to differ: how often garbage is looked for, and the way on which a play asks for modules' processes."""


def silent_modules(*collections: str) -> list[str]:
    """Return the names of the shared modules that are loaded ahead and warn of nothing."""
    target = preload.load(ImportSystem.current(), [Path(each) for each in collections])
    return sorted(each.module.__name__ for each in target.by_file.values())


def changes_by_import(*collections: str) -> list[list[str]]:
    """Import what is loaded ahead, one by one; return each change of the process: module, field, and what it is."""
    called: list[str] = []
    for module, name in ((codecs, "register"), (codecs, "register_error"), (atexit, "register")):
        setattr(module, name, _noting(getattr(module, name), called))
    sys.path[:0] = collections
    look = _process_state().look
    module_utils = importlib.import_module("ansible.module_utils")
    names = list(preload._shared_by_ansible(Path(module_utils.__path__[0])))
    for directory in preload.preloaded([Path(each) for each in collections]):
        names += preload._shared_by_collection(directory)
    changes = []
    before = {field: _parts(value) for field, value in {**look(), "exits": called}.items()}
    for name in names:
        preload._try_import(name)
        after = {field: _parts(value) for field, value in {**look(), "exits": called}.items()}
        changes += [[name, field, part] for field in after for part in sorted(after[field] ^ before[field])]
        before = after
    return changes


def _noting(ordinary: Any, called: list[str]) -> Any:
    def note(function: Any, *arguments: Any, **named: Any) -> Any:
        called.append(f"{function.__module__}.{function.__qualname__}" if callable(function) else str(function))
        return ordinary(function, *arguments, **named)

    return note


def _parts(value: Any) -> set[str]:
    if isinstance(value, dict):
        return {f"{key}: {each}" for key, each in value.items()}
    return {str(each) for each in value} if isinstance(value, list) else {str(value)}


def _process_state() -> Any:
    spec = importlib.util.spec_from_file_location("process_state", IMPORTS / "module_utils" / "process_state.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_an_import_changes_in_its_process_is_known() -> None:
    changes: list[list[str]] = fresh.call(changes_by_import, *COLLECTIONS)
    assert {field for _, field, _ in changes} >= {"exits", "log_handlers", "warnings"}
    unknown = [
        (name, field, part) for name, field, part in changes if not any(known in part for known in KNOWN.get(field, ()))
    ]
    assert not unknown


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project whose modules import all shared code that is loaded ahead."""
    project = tmp_path / "project"
    shutil.copytree(IMPORTS, project)
    names = fresh.call(silent_modules, *COLLECTIONS)
    assert {"ansible.module_utils.basic", f"{KUBERNETES}.k8s.client"} < set(names)
    lines = [f"import {name}" for name in names if name not in sys.builtin_module_names]
    told = ["import sys", "SHARED = [name for name, each in sorted(sys.modules.items()) if _is_shared(name, each)]"]
    is_shared = (
        "def _is_shared(name, module):\n"
        '    file = getattr(module, "__file__", None) or "payload"\n'
        '    return name.startswith("ansible") and "payload" not in file\n'
    )
    (project / "module_utils" / "everything.py").write_text("\n".join([*lines, told[0], is_shared, told[1], ""]))
    return project


async def report(engine: Engine, root: Path, playbook: Path, **variables: Any) -> dict[str, Any]:
    path = root / "report.json"
    environment = {"ANSIBLE_COLLECTIONS_PATH": ":".join(COLLECTIONS)}
    job = make_job(root, str(playbook), {"report": str(path), **variables}, env=environment, timeout=200.0)
    result = await engine.run(job, lambda _event: None)
    assert result.succeeded, result.message
    seen: dict[str, Any] = orjson.loads(path.read_text().replace(str(root), "ROOT").replace(job.ident, "IDENT"))
    return seen


async def test_a_modules_process_is_what_its_own_imports_make_of_it(
    engine: ForkserverEngine, ordinary: SubprocessEngine, project: Path, tmp_path: Path
) -> None:
    forked = await report(engine, tmp_path / "forked", project / "state.yml")
    expected = await report(ordinary, tmp_path / "ordinary", project / "state.yml")
    assert f"{KUBERNETES}.k8s.client" in forked["shared"]
    assert f"{KUBERNETES}.k8s.client" not in expected["shared"]
    for name in ("before", "after", "play"):
        expected[name]["environment"]["TMPDIR"] = expected[name]["temporary"] = forked[name]["temporary"]
        different = {
            field: (value, expected[name][field])
            for field, value in forked[name].items()
            if value not in (expected[name][field], expected["after"][field]) and (name, field) not in OF_THE_ENGINE
        }
        assert not different, name


async def test_what_is_to_be_done_at_exit_is_done(
    engine: ForkserverEngine, ordinary: SubprocessEngine, tmp_path: Path
) -> None:
    done = {}
    for name, each in (("forked", engine), ("ordinary", ordinary)):
        directory = tmp_path / f"{name}-done"
        directory.mkdir()
        job = make_job(tmp_path / name, str(IMPORTS / "ends.yml"), {"report": str(directory)})
        result = await each.run(job, lambda _event: None)
        assert result.succeeded, result.message
        done[name] = sorted(path.name for path in directory.iterdir())
    assert done["ordinary"] == ["atexit", "logging", "multiprocessing", "weakref"]
    assert done["forked"] == done["ordinary"]


async def test_no_value_of_another_process_is_kept(
    monkeypatch: pytest.MonkeyPatch, project: Path, tmp_path: Path
) -> None:
    word = f"{tmp_path}/primed-"
    for name in ("HOME", "TMPDIR"):
        Path(f"{word}{name}").mkdir()
    answering = ANSWERING.replace("WORD", repr(word)).replace("READ_AT_START", repr(connection._READ_AT_START.pattern))
    zygote = answering + server._BOOTSTRAP
    monkeypatch.setattr(forkserver, "_BOOTSTRAP", PRIMING.replace("= BOOTSTRAP", f"= {zygote!r}"))
    engine = ForkserverEngine()
    await engine.start()
    try:
        directory = f"{engine._home}/empty"
        words = [each[::-1] for each in (word, directory)]
        kept = await report(engine, tmp_path / "run", project / "kept.yml", backwards=words, variables=[])
        # Python 3.13 keeps the text of the program, too, in which no name follows.
        found = {name for text in kept["module"].values() for name in re.findall(rf"{re.escape(word)}(\w+)", text)}
        names = sorted(found - {"control"})
        again = await report(
            engine, tmp_path / "again", project / "kept.yml", backwards=words, variables=[*names, "HOME"]
        )
    finally:
        await engine.stop()
    assert f"{KUBERNETES}.k8s.client" in kept["shared"]
    assert f"{word}control" in kept["module"].values()
    assert f"{word}control" in kept["play"].values()
    per_run = [*(f"{word}{name.decode()}" for name in PER_RUN), directory]
    for process in ("module", "play"):
        assert not {way: text for way, text in kept[process].items() if any(each in text for each in per_run)}, process
    assert f"{word}UNIXCONFDIR" in kept["module"].values()
    assert again["of_task"] == {**dict.fromkeys(names, False), "HOME": True}


PRIMING = """
import sys
sys.path.insert(0, sys.argv.pop(1))
from reconcile_runner.execution.forkserver import server
server._BOOTSTRAP = BOOTSTRAP
server.main()
"""
"""Starts a server whose zygotes run another program first."""

ANSWERING = """
import os, re, sys

of_interpreters = re.compile(READ_AT_START)
ordinary = os._Environ.__getitem__

def answer(self, name):
    if self is os.environ and b"PRIMED" in self._data and not of_interpreters.match(name):
        if not is_configuration(sys._getframe(1)):
            return WORD + name
    return ordinary(self, name)

def is_configuration(frame):
    while frame.f_globals["__name__"] in PASSING_ON:
        frame = frame.f_back
    return frame.f_globals["__name__"].startswith(("ansible.config", OWN))

OWN = "reconcile_runner.execution"
# The third is what configuration is read by before ansible-core 2.17.
PASSING_ON = ("os", "collections.abc", "ansible.utils.py3compat", OWN + ".forkserver.importedstate")
os.environ["PRIMED"] = "yes"
os._Environ.__getitem__ = answer
"""
"""Has a zygote find a value of each variable that is asked for, which tells its name and which no run has.

Not of those that an interpreter reads when it starts: no task that changes one is forked. Ansible's configuration would
take no such values; what of it differs from run to run is read again.
"""
