"""Says what is in an image (on stdout, CycloneDX) and what is known against its Python packages (on stderr).

Called by `__main__`. The programs it asks have an environment of their own, `.venvs/report`, pinned like the rest.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Final

from tools.environment import ROOT, StepFailedError, locked_environment
from tools.image.archive import ImageArchive
from tools.image.builder import Builder, BuilderError
from tools.image.contents import Ecosystem, packages
from tools.progress import say
from tools.vulnerabilities import UnreachableError, ask, in_words

_WHO: Final = "image"


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
        _print_known(programs, ImageArchive.open(archive), Path(directory))


def _print_known(programs: Path, image: ImageArchive, directory: Path) -> None:
    pinned = [
        f"{package.name}=={package.version}\n" for package in packages(image) if package.ecosystem is Ecosystem.PYTHON
    ]
    requirements = directory / "installed.txt"
    requirements.write_text("".join(pinned), encoding="utf-8")
    try:
        say(in_words(ask(programs, requirements)), who=_WHO)
    except (UnreachableError, StepFailedError) as error:
        say(f"no list of vulnerabilities: {error}", who=_WHO)
