from __future__ import annotations

import io
import threading

import pytest

from reconcile_devcluster import progress
from reconcile_devcluster.progress import Progress, say


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class _Awaited(io.StringIO):
    """A log that tells when something was written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = threading.Event()

    def write(self, text: str) -> int:
        count = super().write(text)
        self.written.set()
        return count


def test_say_uses_stderr_only(capsys: pytest.CaptureFixture[str]) -> None:
    say("hello")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "devcluster: hello\n")


def test_short_work_says_nothing() -> None:
    stream = io.StringIO()
    with Progress("work", stream):
        pass
    assert stream.getvalue() == ""


def test_long_work_shows_detail_and_seconds_in_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_FIRST_LINE_AFTER", 0.0)
    stream = _Awaited()
    with Progress("building", stream, who="setup") as shown:
        shown.update("12 packages")
        assert stream.written.wait(30)
    assert stream.getvalue().startswith("setup: building: ")
    assert stream.getvalue().endswith(" s\n")
    assert "setup: building: done after 0 s\n" in stream.getvalue()


def _fail_in(shown: Progress, stream: _Awaited) -> None:
    with shown:
        assert stream.written.wait(30)
        raise OSError("broken")


def test_a_failure_is_not_called_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_FIRST_LINE_AFTER", 0.0)
    stream = _Awaited()
    with pytest.raises(OSError, match="broken"):
        _fail_in(Progress("building", stream), stream)
    assert "stopped after" in stream.getvalue()


def test_a_terminal_gets_one_line_that_is_rewritten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_TERMINAL_INTERVAL", 0.001)
    stream = _Terminal()
    with Progress("building", stream) as shown:
        while "\r" not in stream.getvalue():
            shown.update("waiting")
    assert stream.getvalue().count("\n") == 1
    assert stream.getvalue().endswith("done after 0 s\n")


def test_several_share_the_one_line_of_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_TERMINAL_INTERVAL", 0.001)
    stream = _Terminal()
    with Progress("etcd", stream), Progress("kubectl", stream):
        while " | " not in stream.getvalue():
            pass
    assert "devcluster: etcd: 0 s | devcluster: kubectl: 0 s" in stream.getvalue()
