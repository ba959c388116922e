"""Flags of leader election: upstream's names and defaults, and one sentence for what cannot be."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner, Result

from reconcile_runner.cli import Programs, app, flags
from reconcile_runner.options import ElectionSettings, Options
from reconcile_runner.watches.watch import Watch
from tests.support.fakes.inspector import FakeInspector
from tests.support.fakes.logs import logging_restored
from tests.support.paths import TESTDATA

WATCHES = TESTDATA / "watches"
ID = "--leader-election-id=my-operator"


@pytest.fixture(autouse=True)
def project(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(WATCHES / "project")
    monkeypatch.delenv("OPERATOR_NAME", raising=False)
    with logging_restored():
        yield


def run(*arguments: str, **environ: str) -> tuple[Result, list[ElectionSettings | None]]:
    """Return the result, and the settings of what was served, if anything was."""
    served: list[ElectionSettings | None] = []

    def serve(options: Options, watches: tuple[Watch, ...]) -> int:
        served.append(options.election)
        return 0

    spelt = flags.spell_out_booleans(["run", "--watches-file", str(WATCHES / "valid_minimal.yaml"), *arguments])
    return CliRunner().invoke(
        app, spelt, obj=Programs(serve, FakeInspector().started), env={"RUNNER_COMMIT": "abc", **environ}
    ), served


@pytest.mark.parametrize(
    "arguments",
    [(), (ID,), ("--leader-elect=false",), ("--enable-leader-election=false",), ("--leader-elect-lease-duration=1s",)],
    ids=" ".join,
)
def test_nobody_is_elected_where_that_is_not_asked_for(arguments: tuple[str, ...]) -> None:
    assert run(*arguments)[1] == [None]


@pytest.mark.parametrize("flag", ["--leader-elect", "--leader-elect=true", "--enable-leader-election"])
def test_the_defaults_are_upstreams(flag: str) -> None:
    assert run(flag, ID)[1] == [ElectionSettings("my-operator", "", 15, 10.0)]


def test_everything_can_be_said() -> None:
    arguments = ["--leader-elect", "--leader-election-id", "a.b-c", "--leader-election-namespace", "shop"]
    arguments += ["--leader-elect-lease-duration", "1m", "--leader-elect-renew-deadline=40s"]
    arguments += ["--leader-elect-resource-lock", "configmapsleases"]
    assert run(*arguments)[1] == [ElectionSettings("a.b-c", "shop", 60, 40.0)]


def test_the_deprecated_variable_names_the_lease_and_the_flag_wins() -> None:
    assert run("--leader-elect", OPERATOR_NAME="old")[1] == [ElectionSettings("old")]
    assert run("--leader-elect", ID, OPERATOR_NAME="old")[1] == [ElectionSettings("my-operator")]


def test_the_deprecated_flag_is_warned_of() -> None:
    result, _ = run("--enable-leader-election", ID)
    warning = json.loads(result.stderr.splitlines()[0])
    assert (warning["level"], warning["flag"], warning["use"]) == ("warn", "--enable-leader-election", "--leader-elect")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (
            ("--leader-elect=false", "--enable-leader-election=false"),
            "--leader-elect and --enable-leader-election are both set, expected the first alone",
        ),
        (("--leader-elect",), "--leader-election-id: found none, expected the name of a Lease"),
        (("--leader-elect", "--leader-election-id=Not_A_Name"), "--leader-election-id: found 'Not_A_Name', expected"),
        (("--leader-elect", f"--leader-election-id={'a' * 254}"), "--leader-election-id: found 'aaa"),
        (
            ("--leader-elect", ID, "--leader-election-namespace=a/b"),
            "--leader-election-namespace: found 'a/b', expected the name of a namespace",
        ),
        (
            ("--leader-elect", ID, "--leader-elect-lease-duration=10s"),
            "--leader-elect-lease-duration: found 10s, expected more than --leader-elect-renew-deadline, 10s",
        ),
        (
            ("--leader-elect", ID, "--leader-elect-lease-duration=15500ms"),
            "--leader-elect-lease-duration: found 15.5s, expected whole seconds",
        ),
        (
            ("--leader-elect", ID, "--leader-elect-renew-deadline=2s"),
            "--leader-elect-renew-deadline: found 2s, expected more than 2.4s",
        ),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, tuple) else "",
)
def test_what_cannot_be_is_refused_in_one_line(arguments: tuple[str, ...], error: str) -> None:
    result, served = run(*arguments)
    assert (result.exit_code, served) == (1, [])
    line = json.loads(result.stderr.splitlines()[-1])
    assert line["error"][: len(error)] == error


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("--leader-elect=maybe", "--leader-elect: found 'maybe', expected true or false"),
        ("--leader-elect-lease-duration=15", "--leader-elect-lease-duration: found '15', expected a number with"),
    ],
)
def test_what_cannot_be_read_is_a_usage_error(argument: str, said: str) -> None:
    result, served = run(argument)
    assert (result.exit_code, served) == (2, [])
    assert said in " ".join(result.stderr.split())
