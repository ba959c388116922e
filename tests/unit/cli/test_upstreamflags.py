"""Flags of ansible-operator without a function here: accepted, and read as strictly as any other."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner, Result

from reconcile_runner.cli import Programs, app, flags, upstreamflags
from reconcile_runner.options import Options
from reconcile_runner.watches.watch import Watch
from tests.support.fakes.inspector import FakeInspector
from tests.support.fakes.logs import logging_restored
from tests.support.paths import REPOSITORY

WATCHES = REPOSITORY / "tests" / "testdata" / "watches"


@pytest.fixture(autouse=True)
def project(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(WATCHES / "project")
    with logging_restored():
        yield


def run(*arguments: str) -> tuple[Result, bool]:
    """Return the result, and whether anything was served."""
    served: list[Options] = []

    def serve(options: Options, watches: tuple[Watch, ...]) -> int:
        served.append(options)
        return 0

    spelt = flags.spell_out_booleans(["run", "--watches-file", str(WATCHES / "valid_minimal.yaml"), *arguments])
    return CliRunner().invoke(
        app, spelt, obj=Programs(serve, FakeInspector().started), env={"RUNNER_COMMIT": "abc"}
    ), bool(served)


ACCEPTED = {
    "--leader-elect-resource-lock": "configmapsleases",
    "--enable-http2": "false",
    "--zap-stacktrace-level": "error",
    "--zap-time-encoding": "rfc3339",
}


def test_every_one_of_them_is_in_this_table_and_in_the_documentation() -> None:
    assert set(ACCEPTED) == upstreamflags.BOOLEANS | upstreamflags.TEXTS
    text = (REPOSITORY / "docs" / "reference" / "cli.md").read_text()
    assert [flag for flag in ACCEPTED if f"`{flag}`" not in text] == []


@pytest.mark.parametrize(("flag", "value"), ACCEPTED.items(), ids=ACCEPTED)
def test_it_is_accepted(flag: str, value: str) -> None:
    assert run(f"{flag}={value}", "--zap-log-level=error")[1]
    if flag not in upstreamflags.BOOLEANS:
        assert run(flag, value, "--zap-log-level=error")[1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--enable-http2=maybe"], "--enable-http2: found 'maybe', expected true or false"),
        (["--zap-time-encoding"], "--zap-time-encoding: found no value, expected one"),
        (["--watches-fil=x"], "--watches-fil: unknown flag, did you mean --watches-file?"),
        (["stray"], "found the argument 'stray', expected flags alone"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_read_is_a_usage_error(arguments: list[str], said: str) -> None:
    result, served = run(*arguments)
    assert (result.exit_code, served) == (2, False)
    assert said in " ".join(result.stderr.split())


def test_a_flag_that_is_ignored_where_it_asks_for_something_says_so() -> None:
    result, served = run("--enable-http2")
    assert served
    assert json.loads(result.stderr.splitlines()[0])["flag"] == "--enable-http2"
