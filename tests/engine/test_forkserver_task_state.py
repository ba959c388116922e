"""What a task's plugins leave in their process reaches no other task: as where each task has a worker."""

from __future__ import annotations

import shutil
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

import orjson
import pytest

from reconcile_runner.execution.forkserver.engine import ForkserverEngine
from reconcile_runner.execution.forkserver.patches.worker import leaves_nothing
from reconcile_runner.execution.job import RunStatus
from reconcile_runner.execution.pool import Engine, SubprocessEngine
from tests.support import cores, fresh, inplay, processstate
from tests.support.jobs import make_job
from tests.support.paths import REPOSITORY, TESTDATA

pytestmark = pytest.mark.timeout(180)

TASKSTATE = TESTDATA / "taskstate"
DETECTED = TASKSTATE / "detected"
COLLECTIONS = {"ANSIBLE_COLLECTIONS_PATH": str(TASKSTATE / "collections")}


async def report(engine: Engine, root: Path) -> dict[str, Any]:
    path = root / "report.json"
    job = make_job(root, str(TASKSTATE / "state.yml"), {"report": str(path)}, env=COLLECTIONS)
    result = await engine.run(job, lambda _event: None)
    assert result.succeeded, result.message
    seen: dict[str, Any] = orjson.loads(path.read_bytes())
    return seen


async def test_a_later_task_finds_nothing_and_nothing_is_done_twice(
    engine: ForkserverEngine, ordinary: SubprocessEngine, tmp_path: Path
) -> None:
    seen = await report(engine, tmp_path / "forked")
    assert seen == await report(ordinary, tmp_path / "ordinary")
    assert seen["before"] == seen["after"]
    assert (seen["first"], seen["second"]) == ("none", "none")
    assert seen["ran"] == "ran"


@pytest.mark.parametrize("how", ["kill", "exit", "segfault"])
async def test_a_plugin_that_takes_its_process_with_it_fails_the_run_as_a_dead_worker_does(
    how: str, engine: ForkserverEngine, ordinary: SubprocessEngine, tmp_path: Path
) -> None:
    told = []
    for name, each in (("forked", engine), ("ordinary", ordinary)):
        job = make_job(tmp_path / name, str(TASKSTATE / "crash.yml"), {"how": how}, env=COLLECTIONS)
        printed: list[str] = []
        result = await each.run(job, lambda event, printed=printed: printed.append(event.stdout))  # type: ignore[misc]
        assert result.status is RunStatus.FAILED
        told.append((result.message, [line for line in printed if "ERROR" in line]))
    assert told[0] == told[1]
    assert "A worker was found in a dead state" in str(told[0])


@pytest.mark.parametrize(
    ("name", "known", "expected"),
    [
        ("map", None, True),
        ("ansible.builtin.map", None, True),
        ("ansible.legacy.map", None, True),
        ("kubernetes.core.k8s_config_resource_name", None, False),
        ("file", frozenset({"file"}), True),
        ("ansible.builtin.url", frozenset({"file"}), False),
        ("kubernetes.core.k8s", frozenset({"k8s"}), False),
    ],
)
def test_only_ansibles_own_plugins_are_known_to_leave_nothing(
    name: str, known: frozenset[str] | None, expected: bool
) -> None:
    assert leaves_nothing(name, known) is expected


NO_STATE: Final[dict[str, str]] = {
    "re:_*": "compiled patterns, by their text",
    "*:urlsplit": "split addresses, by their text",
    "urllib.parse:_*": "tables of quoted characters",
    "fnmatch:_compile_pattern": "compiled patterns, by their text",
    "pathlib:_make_selector": "compiled patterns, by their text",
    "posixpath:_varprog*": "a compiled pattern that is always the same",
    "os.path:_varprog*": "the same",
    "_strptime:_*": "compiled patterns of times, by their text",
    "encodings:_cache": "codecs, by name",
    "linecache:cache": "lines of source files, for tracebacks",
    "inspect:*": "which module a file is, for tracebacks",
    "threading:_active": "threads; their number is looked at apart",
    "*:__spec__": "what the import system knows of a module; whether it is being imported",
    "*.__slotnames__": "names of a class's slots, for copies",
    "*:*_loader": "where Ansible has found which plugin, by name, and the modules of those plugins",
    "*:PLUGIN_PATH_CACHE": "the same",
    "*:MODULE_CACHE": "the same",
    "ansible.plugins.action.*:ActionModule.*": "the names by which Ansible has loaded an action, set when it loads one",
    "ansible.playbook.*:*._fattributes": "the attributes of a class of Ansible's",
    "ansible.utils.vars:cur_id": "a number that identifies a task, and goes up",
    "ansible.parsing.vault:VaultAES256._gen_key_initctr": "keys, by secret and salt",
    "*:config": "Ansible's settings: each of their attributes is looked at by a name of its own",
    "*:set_constant": "has the module of the settings among its defaults",
    "configuration._get_ini_config_value": "what a settings file says, kept by option: the file is read once",
    "ansible._internal._templating._jinja_bits:AnsibleEnvironment.compile*": "names of templates, for later runs",
    "ansible.parsing.dataloader:DataLoader.load_from_file": "names of files, for later runs",
    "cryptography.hazmat.*": "attributes of modules that were asked for, by name",
    "reconcile_runner.execution.forkserver.patches.worker:_*": "what the detector itself has put in their place",
    "imported html*": "a module of Python that keeps nothing of who imports it",
    "imported encodings.*": "the same",
    "imported _strptime": "the same",
    "imported ansible.module_utils.*": "a module of Ansible that keeps nothing of who imports it",
    "imported ansible_collections.ansible.builtin.*": "a package without code",
}
"""What a task may leave, by a pattern of its name, and why it is none of the task's state."""


def is_state(place: str) -> bool:
    return not any(fnmatchcase(place, pattern) for pattern in NO_STATE)


def play_of(tasks: list[dict[str, Any]]) -> bytes:
    return orjson.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}], option=orjson.OPT_INDENT_2)


async def detected(
    engine: Engine, root: Path, tasks: list[dict[str, Any]], **environment: str
) -> dict[str, dict[str, Any]]:
    """Run tasks; return of each that ran in the play, by its name: what it left, and whether it went on in a fork."""
    shutil.copytree(DETECTED, root / "play")
    for name, text in inplay.FILES.items():
        path = root / "play" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    (root / "play" / "play.yml").write_bytes(play_of(tasks))
    env = COLLECTIONS | environment | {"DETECTED": str(root / "detected"), "DETECTOR": str(processstate.__file__)}
    job = make_job(root / "runs", str(root / "play" / "play.yml"), env=env, timeout=None)
    result = await engine.run(job, lambda _event: None)
    assert result.succeeded, result.message
    found: dict[str, dict[str, Any]] = orjson.loads((root / "detected").read_bytes())
    return found


def using(expression: str) -> dict[str, Any]:
    return {"name": expression, "ansible.builtin.debug": {"msg": f"{{{{ {expression} }}}}"}, "ignore_errors": True}


@cores.of_219
async def test_the_detector_finds_what_plugins_leave_that_are_forced_to_run_in_the_play(
    engine: ForkserverEngine, tmp_path: Path
) -> None:
    url, leave = "lookup('url', 'http://127.0.0.1:1/')", "1 | isolation.state.leave"
    found = await detected(engine, tmp_path, [using(url), using(leave)], DETECTOR_FORCES="1")
    assert "urllib.request:_opener" in found[url]["left"]
    assert {"directory", "environment LEFT", "sys.path", "umask"} <= set(found[leave]["left"])
    assert all(any(map(is_state, each["left"])) for each in found.values())
    assert not any(each["forked"] for each in found.values())


CORPUS = {
    "filters": list(inplay.FILTERS.values()),
    "tests": [text.replace("{}", name) or f"[1] | select('{name}', 1) | list" for name, text in inplay.TESTS.items()],
    "lookups": list(inplay.LOOKUPS.values()),
}


def batches(number: int) -> list[dict[str, Any]]:
    return [
        {"name": f"{kind} {first}", "ansible.builtin.debug": {"msg": [f"{{{{ {each} }}}}" for each in batch]}}
        for kind, expressions in CORPUS.items()
        for first in range(0, len(expressions), number)
        if (batch := expressions[first : first + number])
    ] + [using(each) for each in (*inplay.WANTING.values(), *inplay.PROGRAMS.values())]


def actions() -> list[dict[str, Any]]:
    own = {f"ansible.builtin.{name}": arguments for name, arguments in inplay.ACTIONS.items() if name != "normal"}
    cluster = {f"kubernetes.core.{name}": arguments for name, arguments in inplay.CLUSTER_ACTIONS.items()}
    return [
        {"name": name, name: arguments, "ignore_errors": True}
        for name, arguments in {**own, "ansible.builtin.ping": {}, **cluster}.items()
    ]


@cores.of_219
@pytest.mark.exhaustive
@pytest.mark.timeout(1200)
async def test_nothing_that_runs_in_the_play_leaves_anything(engine: ForkserverEngine, tmp_path: Path) -> None:
    tasks = [*batches(25), *actions()]
    found = await detected(engine, tmp_path, tasks, ANSIBLE_COLLECTIONS_PATH=str(REPOSITORY / ".collections"))
    assert list(found) == [task["name"] for task in tasks], "all of them ran in the play"
    programs = {f"ansible.builtin.{name}" for name in inplay.ACTIONS_WITH_PROGRAMS} | set(inplay.PROGRAMS.values())
    assert {name for name, each in found.items() if each["forked"]} == programs
    left = {name: [place for place in each["left"] if is_state(place)] for name, each in found.items()}
    assert {name: places for name, places in left.items() if places} == {}


@pytest.mark.parametrize(
    "place",
    [
        "urllib.request:_opener",
        "environment LEFT",
        "sys.path",
        "kubernetes.client.configuration:Configuration._default",
        "imported community",
        "ansible_collections.kubernetes.core.plugins.filter.k8s:SEEN",
        "logging:root",
        "re:escape",
        "configuration._parsers",
        "configuration._plugins",
        "configuration._errors",
    ],
)
def test_what_a_plugin_may_leave_is_not_excepted(place: str) -> None:
    assert is_state(place)


@cores.of_219
def test_the_corpus_is_all_that_may_run_in_the_play() -> None:
    assert fresh.call_with_ansible(inplay.names_in_the_code) == {
        "filters": sorted({**inplay.FILTERS, **inplay.WANTING}),
        "tests": sorted(inplay.TESTS),
        "lookups": sorted({**inplay.LOOKUPS, **inplay.PROGRAMS}),
        "actions": sorted(inplay.ACTIONS),
        "cluster_actions": sorted(inplay.CLUSTER_ACTIONS),
    }
