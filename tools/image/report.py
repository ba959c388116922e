"""Says what is in an image (on stdout, CycloneDX) and what is known against its Python packages (on stderr).

Called by `__main__`. The programs it asks have an environment of their own, `.venvs/report`, pinned like the rest.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from devcluster.progress import Progress, say
from tools.environment import REQUIREMENTS, ROOT, digest, exclusive, is_stamped, run_step
from tools.image.archive import ImageArchive
from tools.image.builder import Builder, BuilderError
from tools.image.contents import Ecosystem, packages

_VENV: Final = ROOT / ".venvs" / "report"
_LOCK: Final = REQUIREMENTS / "report.txt"
_AUDIT_TIMEOUT: Final = 300.0
"""Seconds for the database of vulnerabilities to answer for all packages."""

_FOUND: Final = 1
"""Exit code of pip-audit where something is known; also where it could not ask, and then it prints no table."""


def report(image: str, builder: Builder) -> None:
    """Print both. Raises ``BuilderError`` where there is no such image, or the tools cannot be installed."""
    if not builder.size(image):
        raise BuilderError(f"{image}: {builder.program} has no such image; `make image` builds it")
    _install()
    with tempfile.TemporaryDirectory(prefix="image-report-") as directory:
        archive = Path(directory) / "image.tar"
        builder.save(image, archive)
        _print_bill(archive)
        _print_known(ImageArchive.open(archive), Path(directory))


def _install() -> None:
    content = digest(_LOCK.read_bytes(), sys.version.encode())
    stamp = _VENV / ".stamp"
    with exclusive():
        if is_stamped(stamp, content):
            return
        create = run_step("creating .venvs/report", [sys.executable, "-m", "venv", "--clear", str(_VENV)])
        if create.returncode != 0:
            raise BuilderError(f"{_VENV}: could not be created:\n{create.stdout.strip()}")
        pip = [str(_VENV / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        options = ["--only-binary=:all:", "--require-hashes", "-r", str(_LOCK)]
        install = run_step("installing report.txt", [*pip, *options])
        if install.returncode != 0:
            raise BuilderError(f"report.txt: could not be installed:\n{install.stdout.strip()}")
        stamp.write_text(content, encoding="utf-8")


def _print_bill(archive: Path) -> None:
    command = [str(_VENV / "bin" / "python"), "-m", "tools.image.sbom", str(archive)]
    subprocess.run(command, cwd=ROOT, check=True)


def _print_known(image: ImageArchive, directory: Path) -> None:
    pinned = [
        f"{package.name}=={package.version}\n" for package in packages(image) if package.ecosystem is Ecosystem.PYTHON
    ]
    requirements = directory / "installed.txt"
    requirements.write_text("".join(pinned), encoding="utf-8")
    command = [str(_VENV / "bin" / "pip-audit"), "--progress-spinner=off", "--no-deps", "--disable-pip"]
    try:
        with Progress("asking for known vulnerabilities", who="image"):
            answer = subprocess.run(
                [*command, "-r", str(requirements)],
                capture_output=True, text=True, timeout=_AUDIT_TIMEOUT, check=False,
            )  # fmt: skip
    except subprocess.TimeoutExpired:
        say(f"no list of vulnerabilities: the database gave no answer within {_AUDIT_TIMEOUT:.0f} s", who="image")
        return
    say(what_is_known(answer, len(pinned)), who="image")


def what_is_known(answer: subprocess.CompletedProcess[str], asked: int) -> str:
    """Return what pip-audit found out about a number of packages, or the sentence that it could not be asked."""
    if answer.returncode == 0:
        return f"no known vulnerability in {asked} Python packages"
    if answer.returncode == _FOUND and answer.stdout.strip():
        return f"known vulnerabilities in {asked} Python packages:\n{answer.stdout.strip()}"
    reason = (answer.stderr.strip().splitlines() or [f"exit code {answer.returncode}"])[-1]
    return f"no list of vulnerabilities: the database could not be asked ({reason})"
