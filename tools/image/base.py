"""A base image that is made here, of Debian's packages, where none can or shall be pulled.

`__main__` asks for it where the base image is called `mmdebstrap:SUITE`. It holds what the official `SUITE-slim` images
do: essential packages and apt, without manuals and translations.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Final

from tools.environment import run_step
from tools.image.builder import Builder, BuilderError, Recipe

SCHEME: Final = "mmdebstrap:"
"""How a base image begins that is made here; a suite of Debian's follows."""

_TIMEOUT: Final = 900.0
"""Seconds for the packages to come."""

_LEFT_OUT: Final = ("man", "info", "locale", "lintian", "doc")
_DOCKERFILE: Final = 'FROM scratch\nADD base.tar /\nCMD ["bash"]\n'


def is_own(base: str) -> bool:
    """Whether a base image is to be made here."""
    return base.startswith(SCHEME)


def make(base: str, builder: Builder, *, fresh: bool = False) -> str:
    """Make a base image unless it is there.

    Args:
        base: `mmdebstrap:` and a suite of Debian's that has Python 3.11 or newer.
        builder: Who gets the image.
        fresh: Make it again.

    Returns:
        The image's name.

    Raises:
        BuilderError: It could not be made.

    """
    image = f"localhost/{base}"
    if not fresh and builder.size(image):
        return image
    if shutil.which("mmdebstrap") is None:
        raise BuilderError(f"{base}: mmdebstrap is not installed (python -m tools.system_packages image)")
    with tempfile.TemporaryDirectory(prefix="base-image-") as directory:
        context = Path(directory)
        answer = run_step(f"making {image}", command(base, context / "base.tar"), _TIMEOUT)
        if answer.returncode != 0:
            raise BuilderError(f"{base}: mmdebstrap ended with exit code {answer.returncode}:\n{answer.stdout[-2000:]}")
        dockerfile = context / "Dockerfile"
        dockerfile.write_text(_DOCKERFILE, encoding="utf-8")
        builder.build(Recipe(image, context, dockerfile, fresh=True))
    return image


def command(base: str, archive: Path) -> list[str]:
    """Return the command line that makes the root file system, with the suite's security updates."""
    excluded = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in _LEFT_OUT]
    licences = "--dpkgopt=path-include=/usr/share/doc/*/copyright"
    return ["mmdebstrap", "--variant=minbase", *excluded, licences, base.removeprefix(SCHEME), str(archive)]
