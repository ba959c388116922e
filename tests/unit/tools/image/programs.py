"""Programs on the PATH that stand for docker, podman, buildah and mmdebstrap: they write down how they are called."""

from __future__ import annotations

import shlex
from pathlib import Path


class Programs:
    """A directory of programs."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._log = directory / "calls.log"

    def add(self, name: str, code: str = "exit 0") -> None:
        """Make a program that runs shell code, after it has written down its arguments."""
        program = self.directory / name
        log = shlex.quote(str(self._log))
        record = f'for one in "$0" "$@" ""; do printf "%s\\n" "$one"; done >>{log}'
        program.write_text(f"#!/bin/sh\n{record}\n{code}\n")
        program.chmod(0o755)

    def calls(self) -> list[list[str]]:
        """Return the calls until now, each with the program's name first."""
        if not self._log.exists():
            return []
        calls = [call.splitlines() for call in self._log.read_text().split("\n\n") if call]
        return [[Path(call[0]).name, *call[1:]] for call in calls]
