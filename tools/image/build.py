"""Builds the operator's image and, on the way, the base that other operators are built on. The Dockerfile says how.

Called by `__main__` and by the end-to-end tests.
"""

from __future__ import annotations

import os
import re
import ssl
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tools import operatorname
from tools.environment import ROOT
from tools.image import base
from tools.image.builder import Builder, BuilderError, Recipe
from tools.progress import say

RUNNER_IMAGE: Final = "localhost/reconcile-runner:dev"
"""Name of the base that operators are built on; ``with_core`` names its variants."""

_BUNDLES: Final = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
"""Where distributions keep the certificate authorities they trust."""


def default_image() -> str:
    """Return the image that the manifests name."""
    return operatorname.read().image


def with_core(image: str, core: str) -> str:
    """Return the name of an image's variant: ``name:dev`` with core 2.18 is ``name:dev-core2.18``."""
    return f"{image}-core{core}" if core else image


def cores() -> list[str]:
    """Return the versions of ansible-core that an image can be built with in place of the newest."""
    files = (ROOT / "requirements").glob("core-*.txt")
    return sorted((file.stem.removeprefix("core-") for file in files), key=lambda core: int(core.partition(".")[2]))


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be built.

    Attributes:
        image: Name of the operator's image; empty for the one that the manifests name, or its variant with this core.
        base_image: What it is built on; empty for the Dockerfile's default, `mmdebstrap:SUITE` for one made here.
        archive: Where it is saved as a docker-archive, too; None for nowhere.
        fresh: Whether nothing of earlier builds is used.
        core: The ansible-core in both images, for example `2.18`; empty for the newest that the base's Python runs.

    """

    image: str = ""
    base_image: str = ""
    archive: Path | None = None
    fresh: bool = False
    core: str = ""

    @property
    def operator_image(self) -> str:
        """Return the name of the operator's image."""
        return self.image or with_core(default_image(), self.core)


def build(wish: Wish, builder: Builder) -> None:
    """Build both images, and save the operator's where that is asked for. Raises ``BuilderError``."""
    if wish.core and wish.core not in cores():
        raise BuilderError(f"CORE: found {wish.core!r}, expected one of {', '.join(cores())}")
    arguments = {"RUNNER_COMMIT": commit()} | ({"CORE": wish.core} if wish.core else {})
    if base.is_own(wish.base_image):
        arguments["BASE_IMAGE"] = base.make(wish.base_image, builder, fresh=wish.fresh)
    elif wish.base_image:
        arguments["BASE_IMAGE"] = wish.base_image
    secrets = pip_secrets(os.environ, Path.home())
    labels = {"org.opencontainers.image.version": version()}
    for image, target in ((with_core(RUNNER_IMAGE, wish.core), "runner"), (wish.operator_image, "operator")):
        # The second build finds the stages of the first.
        fresh = wish.fresh and target == "runner"
        title = {"org.opencontainers.image.title": operatorname.read().name} if target == "operator" else {}
        recipe = Recipe(image, ROOT, ROOT / "Dockerfile", target, arguments, secrets, labels | title, fresh)
        builder.build(recipe)
        say(f"{image}: {builder.size(image)}", who="image")
    if wish.archive is not None:
        builder.save(wish.operator_image, wish.archive)
        say(f"{wish.operator_image} is saved as {wish.archive}", who="image")


def derive(image: str, base_image: str, context: Path, builder: Builder) -> None:
    """Build the Dockerfile of an operator, in the directory ``context``, on an image. Raises ``BuilderError``."""
    secrets = pip_secrets(os.environ, Path.home())
    builder.build(Recipe(image, context, context / "Dockerfile", "", {"BASE_IMAGE": base_image}, secrets))
    say(f"{image}: {builder.size(image)}", who="image")


def commit() -> str:
    """Return the checkout's commit, `-dirty` behind it where something differs; `unknown` outside of git."""
    git = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(git, capture_output=True, text=True, check=True, timeout=30).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def version() -> str:
    """Return the operator's version."""
    text = (ROOT / "runner" / "reconcile_runner" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    if found is None:
        raise ValueError("runner/reconcile_runner/__init__.py: found no line with __version__")
    return found[1]


def pip_secrets(environment: Mapping[str, str], home: Path) -> dict[str, Path]:
    """Return this machine's settings for pip, which the build needs while it installs, by the Dockerfile's ids.

    ``pip.conf`` is the most specific configuration file that pip would read here; ``ca.crt`` the certificate
    authorities that it would trust.
    """
    settings = home / ".config"
    configurations = [
        environment.get("PIP_CONFIG_FILE", ""),
        f"{environment.get('XDG_CONFIG_HOME') or settings}/pip/pip.conf",
        f"{home}/.pip/pip.conf",
        "/etc/pip.conf",
    ]
    authorities = [
        environment.get("PIP_CERT", ""),
        environment.get("REQUESTS_CA_BUNDLE", ""),
        ssl.get_default_verify_paths().cafile or "",
        *_BUNDLES,
    ]
    found = {"pip.conf": _first_file(configurations), "ca.crt": _first_file(authorities)}
    return {name: path for name, path in found.items() if path is not None}


def _first_file(candidates: list[str]) -> Path | None:
    return next((Path(one) for one in candidates if one and one != os.devnull and Path(one).is_file()), None)
