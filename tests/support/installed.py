"""The packages of this repository, installed from their wheels away from the checkout, as a user has them.

Their dependencies are those of the environment that runs the tests, found through a `.pth` file: asking an index for
them takes a minute. Such a file adds a directory to the path and reads no `.pth` in it, so that the editable install of
the checkout is not seen.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support.packages import PROJECTS, build
from tests.support.paths import REPOSITORY

_ANSIBLE_PROGRAMS: Final = ("ansible-playbook", "ansible-galaxy", "molecule", "ansible")
"""Programs of dependencies that run in the environment's own Python."""

KUBERNETES_CORE: Final = REPOSITORY / ".collections"
"""Where `make setup` puts the collection that users install with ansible-galaxy."""


@dataclass(frozen=True)
class Installation:
    """An environment with some of the packages."""

    directory: Path

    @property
    def site_packages(self) -> Path:
        [found] = self.directory.glob("lib/python3*/site-packages")
        return found

    def program(self, name: str) -> str:
        return str(self.directory / "bin" / name)

    def environment(self) -> dict[str, str]:
        """Return variables that name no cluster, nothing of the checkout but kubernetes.core, and no other programs."""
        return {
            "PATH": f"{self.directory / 'bin'}:/usr/local/bin:/usr/bin:/bin",
            "HOME": os.environ["HOME"],
            "LANG": "C.UTF-8",
            "ANSIBLE_COLLECTIONS_PATH": str(KUBERNETES_CORE),
        }

    def run(
        self, command: Sequence[str], directory: Path, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment to its end. Whoever runs it cannot write to what is installed."""
        return subprocess.run(
            self.confined([self.program(command[0]), *command[1:]]),
            cwd=directory,
            env=self.environment() | dict(env or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    @staticmethod
    def confined(command: Sequence[str]) -> list[str]:
        """Return the command without root's right to write where the mode forbids it."""
        if os.geteuid() != 0:
            return list(command)
        return ["/usr/bin/setpriv", "--bounding-set=-dac_override", *command]


def install(directory: Path, distributions: Sequence[str] = tuple(PROJECTS)) -> Installation:
    """Build and install distributions into a new environment whose site-packages cannot be written to."""
    made = Installation(directory / "environment")
    wheels = [build(PROJECTS[name], "wheel", directory / name) for name in distributions]
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(made.directory)], check=True)
    (made.site_packages / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    pip = [sys.executable, "-m", "pip", f"--python={made.program('python')}", "--disable-pip-version-check", "--quiet"]
    # Of the checkout's editable install, which is seen as a dependency, nothing is uninstalled.
    command = [*pip, "install", "--no-deps", "--no-index", "--ignore-installed", *map(str, wheels)]
    subprocess.run(command, check=True, capture_output=True)
    for name in _ANSIBLE_PROGRAMS:
        _copy_program(Path(sys.executable).with_name(name), made)
    _make_read_only(made.site_packages)
    return made


def _copy_program(source: Path, into: Installation) -> None:
    """Copy a console script, for the environment's Python."""
    _, _, body = source.read_text(encoding="utf-8").partition("\n")
    target = Path(into.program(source.name))
    target.write_text(f"#!{into.program('python')}\n{body}", encoding="utf-8")
    target.chmod(0o755)


def _make_read_only(directory: Path) -> None:
    for path in [directory, *directory.rglob("*")]:
        path.chmod(path.stat().st_mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))
