"""What the tools say to people: short lines on stderr, so that stdout stays free for answers.

Standard library only, because they run before anything is installed; `reconcile_devcluster` has the same for itself.
Everything that may take longer than two seconds runs inside `Progress`.
"""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import Self, TextIO

_TERMINAL_INTERVAL = 0.5
"""Seconds between two refreshes of the line on a terminal."""

_LOG_INTERVAL = 10.0
"""Seconds between two lines where stderr is a file or a CI log (the first comes after two seconds)."""

_FIRST_LINE_AFTER = 2.0
"""Seconds of silence allowed before something must be seen."""


def say(message: str, who: str = "setup") -> None:
    """Print one line for the user on stderr, after the name of who says it."""
    print(f"{who}: {message}", file=sys.stderr, flush=True)


class Progress:
    """Shows that something long is still going on, and for how many seconds already.

    A context manager. Work done is reported through `update`; both methods may be called from any thread.
    """

    def __init__(self, what: str, stream: TextIO | None = None, who: str = "setup") -> None:
        self._what = what
        self._who = who
        self._detail = ""
        self._stream = stream if stream is not None else sys.stderr
        self._live = self._stream.isatty()
        self._finished = threading.Event()
        self._thread = threading.Thread(target=self._show, name=f"progress: {what}", daemon=True)
        self._started = time.monotonic()
        self._shown = False

    def update(self, detail: str) -> None:
        """Replace the detail shown behind the title, for example `412 packages`."""
        self._detail = detail

    @property
    def elapsed(self) -> float:
        """Seconds since the work began."""
        return time.monotonic() - self._started

    def __enter__(self) -> Self:
        """Begin to show."""
        self._started = time.monotonic()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Say how long it took, if anything was shown."""
        self._finished.set()
        self._thread.join()
        if self._shown:
            outcome = "done" if kind is None else "stopped"
            self._print(f"{outcome} after {self.elapsed:.0f} s", end="\n")

    def _show(self) -> None:
        wait = _TERMINAL_INTERVAL if self._live else _FIRST_LINE_AFTER
        while not self._finished.wait(wait):
            self._shown = True
            detail = f"{self._detail}, " if self._detail else ""
            self._print(f"{detail}{self.elapsed:.0f} s", end="" if self._live else "\n")
            wait = _TERMINAL_INTERVAL if self._live else _LOG_INTERVAL

    def _print(self, text: str, end: str) -> None:
        start = "\r\x1b[2K" if self._live else ""
        print(f"{start}{self._who}: {self._what}: {text}", end=end, file=self._stream, flush=True)
