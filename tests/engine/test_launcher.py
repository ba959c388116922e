from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ptyprocess import PtyProcess, ptyprocess

from reconcile_runner.execution import discoverycache, launcher, tempdir
from tests.support import fresh
from tests.support.paths import REPOSITORY
from tests.support.programs import SHELL, SLEEPER


def job_in(directory: Path, **fields: Any) -> dict[str, Any]:
    for name in ("env", "project"):
        (directory / name).mkdir()
    (directory / "env" / "cmdline").write_text("--tags 'a b'")
    (directory / "env" / "envvars").write_text(json.dumps(fields.pop("envvars", {})))
    return {"playbook": None, "role": None, "settings": {"gather_facts": True}, **fields}


def test_a_playbook_follows_the_options_of_the_user(tmp_path: Path) -> None:
    job = job_in(tmp_path, playbook="/play books/a.yml")
    assert launcher._command_line(job, tmp_path) == "--tags 'a b' '/play books/a.yml'"
    assert launcher._roles_path(job, tmp_path) is None


@pytest.mark.parametrize("gather_facts", [True, False])
def test_a_role_is_played_by_its_name_for_localhost(tmp_path: Path, gather_facts: bool) -> None:
    job = job_in(tmp_path, role="/opt/roles/foo", settings={"gather_facts": gather_facts})
    play = tmp_path / "project" / "main.json"
    assert launcher._command_line(job, tmp_path).endswith(str(play))
    assert json.loads(play.read_text()) == [
        {"hosts": "localhost", "gather_facts": gather_facts, "roles": [{"name": "foo"}]}
    ]
    assert play.stat().st_mode & 0o077 == 0


def test_a_role_finds_its_neighbours_first_and_then_the_users_roles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_in(tmp_path, role="/opt/roles/foo", envvars={"ANSIBLE_ROLES_PATH": "/mine"})
    assert launcher._roles_path(job, tmp_path) == "/opt/roles:/mine"
    (tmp_path / "env" / "envvars").write_text("{}")
    monkeypatch.setenv("ANSIBLE_ROLES_PATH", "/the/operators")
    assert launcher._roles_path(job, tmp_path) == "/opt/roles:/the/operators"
    monkeypatch.delenv("ANSIBLE_ROLES_PATH")
    assert launcher._roles_path(job, tmp_path) == "/opt/roles"


SHOWN = 'fatal: [localhost]: FAILED! => {"censored": "hidden"}\r\n...ignoring'


@pytest.mark.parametrize(
    ("stdout", "left"),
    [
        (f"[ERROR]: the secret\r\nOrigin: x\r\n{SHOWN}", SHOWN),
        (f'[ERROR]: a secret with "censored" in it\r\n{SHOWN}', SHOWN),
        ("[ERROR]: the secret", ""),
        (SHOWN, SHOWN),
        ("", ""),
    ],
)
def test_an_error_before_a_hidden_result_is_hidden_too(stdout: str, left: str) -> None:
    event = {"event": "runner_on_failed", "event_data": {"res": {"censored": "hidden"}}, "stdout": stdout}
    launcher._hide_what_no_log_missed(event)
    assert event["stdout"] == left


@pytest.mark.parametrize("data", [{"res": {"msg": "x"}}, {"res": None}, {}, None], ids=repr)
def test_an_error_before_a_result_that_is_shown_stays(data: Any) -> None:
    event = {"event": "runner_on_failed", "event_data": data, "stdout": "[ERROR]: x"}
    launcher._hide_what_no_log_missed(event)
    assert event["stdout"] == "[ERROR]: x"


def test_a_launcher_loads_nothing_of_the_operator() -> None:
    script = "import sys, reconcile_runner.execution.launcher; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    modules = loaded.stdout.split()
    assert {name for name in modules if name.split(".")[0] == "reconcile_runner"} == {
        "reconcile_runner",
        "reconcile_runner.errors",
        "reconcile_runner.execution",
        "reconcile_runner.execution.artifacts",
        "reconcile_runner.execution.confinement",
        "reconcile_runner.execution.discoverycache",
        "reconcile_runner.execution.frames",
        "reconcile_runner.execution.launcher",
        "reconcile_runner.execution.processes",
        "reconcile_runner.execution.rundeadline",
        "reconcile_runner.execution.rundir",
        "reconcile_runner.execution.tempdir",
        "reconcile_runner.signaltimer",
    }
    assert {"asyncio", "orjson", "structlog", "pydantic", "aiohttp", "kubernetes", "typer"} & set(modules) == set()


def written() -> list[str]:
    """Return an event as ansible-runner writes it, piece by piece and all at once, without and with ASCII alone."""
    from ansible_runner import runner  # noqa: PLC0415 - not in the process of the tests

    event = {"stdout": "é\n", "event_data": {"res": {"nested": [1, None, True, {"a": 1.5}]}}}
    texts = []
    for ensure_ascii in (True, False):
        pieces = io.StringIO()
        json.dump(event, pieces, ensure_ascii=ensure_ascii)
        texts.append(pieces.getvalue())
    launcher._write_events_at_once()
    for ensure_ascii in (True, False):
        whole = io.StringIO()
        runner.json.dump(event, whole, ensure_ascii=ensure_ascii)
        texts.append(whole.getvalue())
    assert runner.json is not json
    assert runner.json.load is json.load
    return texts


def test_what_is_written_in_one_piece_is_what_was_written_piece_by_piece() -> None:
    texts = fresh.call(written)
    assert texts[:2] == texts[2:]


def test_the_terminal_of_a_program_that_has_ended_is_closed_without_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PtyProcess, "close", PtyProcess.close)
    launcher._close_terminals_at_once()
    naps: list[float] = []
    nap = time.sleep

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        nap(seconds)

    monkeypatch.setattr(ptyprocess.time, "sleep", sleep)
    ended = PtyProcess.spawn([SHELL, "-c", ":"])
    ended.wait()
    ended.close()
    running = PtyProcess.spawn(list(SLEEPER))
    running.close()
    assert not running.isalive()
    assert naps[0] == 0
    assert naps[1] > 0, "a program that still runs is given its time to end"


URL = "http://127.0.0.1:1234"
KNOWN = {"url": URL, "kinds": "some"}


@pytest.mark.parametrize(
    ("api", "last", "is_kept"),
    [
        (KNOWN, KNOWN, True),
        (KNOWN, {**KNOWN, "kinds": "others"}, False),
        (KNOWN, {**KNOWN, "url": "http://127.0.0.1:1"}, False),
        (KNOWN, None, False),
        (None, KNOWN, False),
        (None, None, False),
    ],
)
def test_what_is_served_is_known_to_the_next_run_only_where_it_has_not_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, api: Any, last: Any, is_kept: bool
) -> None:
    own = tmp_path / "own"
    tempdir.make(own)
    monkeypatch.setattr("tempfile.tempdir", str(own))
    for url in (URL, "https://another.example.com"):
        for name in discoverycache.names(url):
            (own / name).touch()
    launcher._remove_stale_discovery(api, last)
    left = {path.name for path in own.iterdir() if path.name.startswith(discoverycache.PREFIXES)}
    assert left == (discoverycache.names(URL) if is_kept else set())


def test_the_operators_own_directory_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "k8srcp-0.json").touch()
    launcher._remove_stale_discovery(None, None)
    assert (tmp_path / "k8srcp-0.json").exists()
