"""Asks Ansible about arguments and files, in a process that has loaded it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import orjson

from reconcile_runner.content.readfile import ReadFile
from reconcile_runner.errors import ConfigError

_PROGRAM: Final = Path(__file__).with_name("program.py")


@dataclass(frozen=True, slots=True)
class FileProblem:
    """What is wrong with a file. ``line`` (1-based) is None where it is not known."""

    path: Path
    line: int | None
    found: str
    expected: str


@dataclass(frozen=True, slots=True)
class SearchPaths:
    """Where Ansible looks for roles and collections, as its variables have it: directories separated by ``:``."""

    roles: str
    collections: str


class Inspector:
    """A process that has loaded Ansible, for as long as ``started`` lasts."""

    def __init__(self, process: subprocess.Popen[bytes], errors: IO[bytes]) -> None:
        self._process = process
        self._errors = errors

    @classmethod
    @contextmanager
    def started(cls, environ: Mapping[str, str], interpreter: str = sys.executable) -> Iterator[Inspector]:
        """Start the process with this environment, in the Python that has Ansible.

        Everything raises ``ConfigError`` where Ansible cannot be loaded.
        """
        # Ansible refuses to be loaded where text is not UTF-8. A message is in no other language then, either.
        environment = {**environ, "LC_ALL": "C.UTF-8"}
        with tempfile.TemporaryFile() as errors:
            # -P: the program's own directory is none of its paths.
            command = [interpreter, "-P", str(_PROGRAM)]
            with subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=environment
            ) as process:
                yield cls(process, errors)

    def refusal(self, arguments: Sequence[str]) -> str:
        """Return why ``ansible-playbook`` with these arguments does no work; empty where it does."""
        return str(self._ask({"question": "refusal", "arguments": list(arguments)}))

    def search_paths(self) -> SearchPaths:
        """Return where Ansible looks for roles and collections."""
        answer = self._ask({"question": "search_paths"})
        return SearchPaths(os.pathsep.join(answer["roles"]), os.pathsep.join(answer["collections"]))

    def problems(self, files: Iterable[ReadFile], plays: Iterable[Path]) -> list[FileProblem]:
        """Return what is wrong with files. ``plays`` are the directories of the playbooks among them."""
        asked = [
            {
                "path": str(file.path),
                "kind": str(file.kind),
                "role": str(file.role) if file.role else "",
                "collections": file.collections,
            }
            for file in files
        ]
        answer = self._ask({"question": "problems", "files": asked, "plays": [str(play) for play in plays]})
        return [FileProblem(Path(one["path"]), one["line"], one["found"], one["expected"]) for one in answer]

    def _ask(self, request: dict[str, Any]) -> Any:
        requests, answers = self._process.stdin, self._process.stdout
        if requests is None or answers is None:
            raise TypeError("the process was started with pipes")
        try:
            requests.write(orjson.dumps(request) + b"\n")
            requests.flush()
        except BrokenPipeError:
            pass  # the reason is in its errors, as where it ends without an answer
        answer = answers.readline()
        if not answer:
            self._errors.seek(0)
            said = self._errors.read().decode("utf-8", "replace").strip().splitlines()
            raise ConfigError(f"Ansible cannot be asked: {said[-1] if said else 'it ended and said nothing'}")
        return orjson.loads(answer)
