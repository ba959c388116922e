"""Flags of the metrics' server: upstream's names and defaults, and one sentence for what cannot be."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from reconcile_runner.cli import Programs, app, flags
from reconcile_runner.options import Options, SecureServing
from reconcile_runner.watches.watch import Watch
from tests.support.fakes.inspector import FakeInspector
from tests.support.fakes.logs import logging_restored
from tests.support.paths import TESTDATA

WATCHES = TESTDATA / "watches"


@pytest.fixture(autouse=True)
def project(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(WATCHES / "project")
    with logging_restored():
        yield


def run(*arguments: str) -> tuple[Result, list[SecureServing | None]]:
    """Return the result, and the settings of what was served, if anything was."""
    served: list[SecureServing | None] = []

    def serve(options: Options, watches: tuple[Watch, ...]) -> int:
        served.append(options.secure_metrics)
        return 0

    spelt = flags.spell_out_booleans(["run", "--watches-file", str(WATCHES / "valid_minimal.yaml"), *arguments])
    return CliRunner().invoke(
        app, spelt, obj=Programs(serve, FakeInspector().started), env={"RUNNER_COMMIT": "abc"}
    ), served


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), None),
        (("--metrics-secure=false", "--metrics-require-rbac=false"), None),
        (("--metrics-secure",), SecureServing()),
        (("--metrics-secure", "--metrics-require-rbac"), SecureServing(requires_rbac=True)),
        (("--metrics-secure=true", "--metrics-cert-path=/certs"), SecureServing(Path("/certs"))),
        (
            ("--metrics-secure", "--metrics-cert-path", "/c", "--metrics-cert-name", "a", "--metrics-cert-key", "b"),
            SecureServing(Path("/c"), "a", "b"),
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_metrics_are_plain_unless_tls_is_asked_for(arguments: tuple[str, ...], expected: SecureServing | None) -> None:
    assert run(*arguments)[1] == [expected]


@pytest.mark.parametrize(
    ("argument", "error"),
    [
        (
            "--metrics-require-rbac",
            "--metrics-require-rbac: found true without --metrics-secure, expected both or none",
        ),
        ("--metrics-cert-path=/c", "--metrics-cert-path: found a directory without --metrics-secure, expected both or"),
    ],
)
def test_what_makes_sense_over_tls_alone_is_refused_without(argument: str, error: str) -> None:
    result, served = run(argument)
    assert (result.exit_code, served) == (1, [])
    (line,) = [json.loads(text) for text in result.stderr.splitlines()]
    assert line["error"][: len(error)] == error


@pytest.mark.parametrize("flag", ["--metrics-secure", "--metrics-require-rbac"])
def test_a_value_that_is_no_boolean_is_a_usage_error(flag: str) -> None:
    result, served = run(f"{flag}=maybe")
    assert (result.exit_code, served) == (2, [])
    assert f"{flag}: found 'maybe', expected true or false" in " ".join(result.stderr.split())
