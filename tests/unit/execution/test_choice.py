"""The engine that was asked for, or the faster one of those that can be used."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from reconcile_runner.errors import ConfigError
from reconcile_runner.execution import choice
from reconcile_runner.execution.choice import choose_engine
from reconcile_runner.execution.forkserver.engine import ForkserverEngine
from reconcile_runner.execution.pool import Engine, SubprocessEngine
from reconcile_runner.options import EngineName


@pytest.mark.parametrize(
    ("name", "problem", "expected"),
    [
        (EngineName.SUBPROCESS, None, SubprocessEngine),
        (EngineName.FORKSERVER, None, ForkserverEngine),
        (None, None, ForkserverEngine),
        (None, "it needs Linux", SubprocessEngine),
    ],
    ids=["subprocess", "forkserver", "the faster one", "the one that can be used"],
)
def test_the_engine_is_the_one_asked_for_else_the_faster_one(
    name: EngineName | None, problem: str | None, expected: type[Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "unsupported", lambda _installation: problem)
    with capture_logs() as lines:
        assert type(choose_engine(name)) is expected
    assert [line["reason"] for line in lines] == ([problem] if problem else [])


def test_an_engine_that_was_asked_for_and_cannot_be_used_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "unsupported", lambda _installation: "it needs Linux")
    with pytest.raises(ConfigError, match="--engine=forkserver cannot be used here: it needs Linux"):
        choose_engine(EngineName.FORKSERVER)
