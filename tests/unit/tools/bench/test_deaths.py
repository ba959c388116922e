"""What a kill leaves alive is waited for, and named where it does not end."""

from __future__ import annotations

import signal
import subprocess

import pytest

from tests.support.programs import SHELL, SLEEPER
from tools.bench import deaths


def test_all_are_waited_for() -> None:
    # The kernel ends the second one when the pipe between them has lost its other end.
    with (
        subprocess.Popen([SHELL, "-c", "while echo y; do :; done"], stdout=subprocess.PIPE) as left,
        subprocess.Popen(
            [SHELL, "-c", "while read -r line; do :; done"], stdin=left.stdout, stdout=subprocess.DEVNULL
        ) as victim,
    ):
        if left.stdout:
            left.stdout.close()
        assert deaths._kill(victim.pid, [victim.pid, left.pid]) > 0
        assert (victim.poll(), left.poll()) == (-signal.SIGKILL, -signal.SIGPIPE)


def test_one_that_does_not_end_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deaths, "_PATIENCE", 0.05)
    with subprocess.Popen(SLEEPER) as left, subprocess.Popen(SLEEPER) as victim:
        with pytest.raises(TimeoutError, match=rf"\[{left.pid}\]"):
            deaths._kill(victim.pid, [victim.pid, left.pid])
        left.kill()
