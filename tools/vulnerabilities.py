"""Asks pip-audit what is known against pinned Python packages. It has an environment of its own, `.venvs/report`."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NotRequired, TypedDict

from tools.environment import StepFailedError, run_step

_TIMEOUT: Final = 300.0
"""Seconds for the database of vulnerabilities to answer for all packages."""

_TIMED_OUT: Final = 124
_UNREACHABLE: Final = re.compile(r"Could not connect|not redirecting properly|ConnectionError|Timeout")
"""What pip-audit says, or the library that it asks with, where the database is not within reach."""


class Vulnerability(TypedDict):
    """A known vulnerability, as pip-audit's JSON has it."""

    id: str
    fix_versions: list[str]


class Audited(TypedDict):
    """What pip-audit says of a package: `version` and `vulns`, or why it says nothing."""

    name: str
    version: NotRequired[str]
    vulns: NotRequired[list[Vulnerability]]
    skip_reason: NotRequired[str]


class UnreachableError(Exception):
    """The database could not be asked, or has none of the packages: nothing is known of any."""


def ask(programs: Path, requirements: Path) -> list[Audited]:
    """Return what is known of the packages that a file pins; `programs` has pip-audit.

    Raises:
        UnreachableError: The database could not be asked, or has none of these packages.
        StepFailedError: pip-audit failed for another reason.

    """
    with tempfile.TemporaryDirectory(prefix="audit-") as directory:
        known = Path(directory) / "known.json"
        options = ["--progress-spinner=off", "--no-deps", "--disable-pip", "--format=json", f"--output={known}"]
        command = [str(programs / "pip-audit"), *options, "-r", str(requirements)]
        answer = run_step(f"asking for known vulnerabilities of {requirements.name}", command, _TIMEOUT)
        try:
            audited: list[Audited] = json.loads(known.read_text("utf-8"))["dependencies"]
        except (OSError, json.JSONDecodeError) as error:
            raise _failure(answer) from error
    if len(unknown(audited)) == len(audited):
        raise UnreachableError("the database could not be asked, or has none of these packages")
    return audited


def _failure(answer: subprocess.CompletedProcess[str]) -> UnreachableError | StepFailedError:
    lines = answer.stdout.strip().splitlines() or [f"exit code {answer.returncode}"]
    if answer.returncode == _TIMED_OUT or _UNREACHABLE.search(answer.stdout):
        return UnreachableError(f"the database could not be asked ({lines[-1]})")
    return StepFailedError(f"pip-audit failed: {lines[-1]}")


def unknown(audited: Sequence[Audited]) -> list[str]:
    """Return the packages that the database does not have. They are never called safe."""
    return [one["name"] for one in audited if "skip_reason" in one]


def found(audited: Sequence[Audited]) -> list[str]:
    """Return the known vulnerabilities, a line each."""
    return [
        f"{one['name']} {one['version']}: {known['id']}, fixed in {', '.join(known['fix_versions']) or 'no version'}"
        for one in audited
        for known in one.get("vulns", [])
    ]


def in_words(audited: Sequence[Audited]) -> str:
    """Return what is known, in words."""
    lines, missing = found(audited), unknown(audited)
    text = f"{len(lines)} known vulnerabilities in {len(audited) - len(missing)} Python packages"
    if missing:
        text += f" (not in the database: {', '.join(missing)})"
    return "\n".join([text, *lines])
