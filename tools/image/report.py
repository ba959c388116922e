"""Says what is in an image (on stdout, CycloneDX) and what is known against its Python packages (on stderr).

Called by `__main__`. The programs it asks have an environment of their own, `.venvs/report`, pinned like the rest.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Final, NotRequired, TypedDict

from tools.environment import ROOT, StepFailedError, locked_environment, run_step
from tools.image.archive import ImageArchive
from tools.image.builder import Builder, BuilderError
from tools.image.contents import Ecosystem, packages
from tools.progress import say

_AUDIT_TIMEOUT: Final = 300.0
"""Seconds for the database of vulnerabilities to answer for all packages."""

_WHO: Final = "image"


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


def report(image: str, builder: Builder) -> None:
    """Print both. Raises ``BuilderError`` where there is no such image, or the tools cannot be installed."""
    if not builder.size(image):
        raise BuilderError(f"{image}: {builder.program} has no such image; `make image` builds it")
    try:
        programs = locked_environment("report") / "bin"
    except StepFailedError as error:
        raise BuilderError(str(error)) from error
    with tempfile.TemporaryDirectory(prefix="image-report-") as directory:
        archive = Path(directory) / "image.tar"
        builder.save(image, archive)
        subprocess.run([str(programs / "python"), "-m", "tools.image.sbom", str(archive)], cwd=ROOT, check=True)
        _print_known(programs / "pip-audit", ImageArchive.open(archive), Path(directory))


def _print_known(pip_audit: Path, image: ImageArchive, directory: Path) -> None:
    pinned = [
        f"{package.name}=={package.version}\n" for package in packages(image) if package.ecosystem is Ecosystem.PYTHON
    ]
    requirements = directory / "installed.txt"
    requirements.write_text("".join(pinned), encoding="utf-8")
    audit = [str(pip_audit), "--progress-spinner=off", "--no-deps", "--disable-pip"]
    answer = run_step(
        "asking for known vulnerabilities",
        [*audit, "--format=json", f"--output={directory / 'known.json'}", "-r", str(requirements)],
        _AUDIT_TIMEOUT,
    )
    try:
        audited = json.loads((directory / "known.json").read_text(encoding="utf-8"))["dependencies"]
    except (OSError, json.JSONDecodeError):
        said = answer.stdout.strip().splitlines() or [f"exit code {answer.returncode}"]
        say(f"no list of vulnerabilities: the database could not be asked ({said[-1]})", who=_WHO)
        return
    say(what_is_known(audited), who=_WHO)


def what_is_known(audited: list[Audited]) -> str:
    """Return what the database knows, in words: what it was not asked for, or does not have, is never called safe."""
    skipped = [one for one in audited if "skip_reason" in one]
    found = [
        f"{one['name']} {one['version']}: {known['id']}, fixed in {', '.join(known['fix_versions']) or 'no version'}"
        for one in audited
        for known in one.get("vulns", [])
    ]
    if len(skipped) == len(audited):
        return "no list of vulnerabilities: the database could not be asked, or has none of these packages"
    text = f"{len(found)} known vulnerabilities in {len(audited) - len(skipped)} Python packages"
    if skipped:
        text += f" (not in the database: {', '.join(one['name'] for one in skipped)})"
    return "\n".join([text, *found])
