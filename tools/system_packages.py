"""Make sure that the programs of the distribution are there which a node, an image or a Python is made with.

Called by `make e2e` and `make image` as `python -m tools.system_packages GROUP…`, and by `tools.pythons`. Where it may
(root on Debian or Ubuntu) it installs what is missing; elsewhere it prints the one command that does, and ends with
exit code 2. What is there by other means (another distribution, a build of one's own) is taken as it is.
"""

from __future__ import annotations

import enum
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from tools.environment import StepFailedError, fail, run_step, tell

_APT_GET = ("apt-get", "-o", "DPkg::Lock::Timeout=300")
"""Waits (seconds) for another package manager that runs right now."""

_INSTALL = (*_APT_GET, "install", "--yes", "--no-install-recommends")
_TIMEOUT = 900.0
"""Seconds one call of apt-get may take."""

_MISSING = 2
"""Exit code when something is missing that only the user can install."""


class MissingPackagesError(StepFailedError):
    """Packages are missing that only the user can install. The message has the command."""


@dataclass(frozen=True, slots=True)
class SystemPackage:
    """A package of Debian's, and what shows that its content is there.

    Attributes:
        name: Name of the package, the same in Debian and Ubuntu.
        evidence: A program on the PATH, or absolute paths of which one must exist.

    """

    name: str
    evidence: tuple[str, ...]

    def is_there(self) -> bool:
        """Whether its content is on this machine, wherever it came from."""
        return any(Path(one).exists() if one.startswith("/") else shutil.which(one) for one in self.evidence)


class PackageGroup(enum.StrEnum):
    """What packages are wanted for."""

    NODE = "node"
    IMAGE = "image"
    PYTHON = "python"


PACKAGES: dict[PackageGroup, tuple[SystemPackage, ...]] = {
    PackageGroup.NODE: (
        SystemPackage("containerd", ("containerd",)),
        SystemPackage("runc", ("runc",)),
        SystemPackage("containernetworking-plugins", ("/usr/lib/cni/bridge", "/opt/cni/bin/bridge")),
        SystemPackage("iptables", ("iptables", "/usr/sbin/iptables")),
        SystemPackage("conntrack", ("conntrack", "/usr/sbin/conntrack")),
        SystemPackage("iproute2", ("ip", "/usr/sbin/ip")),
    ),
    PackageGroup.IMAGE: (
        SystemPackage("buildah", ("buildah",)),
        SystemPackage("mmdebstrap", ("mmdebstrap",)),
    ),
    PackageGroup.PYTHON: (
        SystemPackage("gcc", ("gcc", "cc")),
        SystemPackage("make", ("make",)),
        SystemPackage("xz-utils", ("xz",)),
        SystemPackage("libssl-dev", ("/usr/include/openssl/ssl.h",)),
        SystemPackage("zlib1g-dev", ("/usr/include/zlib.h",)),
        SystemPackage("libbz2-dev", ("/usr/include/bzlib.h",)),
        SystemPackage("liblzma-dev", ("/usr/include/lzma.h",)),
        SystemPackage(
            "libffi-dev",
            ("/usr/include/ffi.h", "/usr/include/x86_64-linux-gnu/ffi.h", "/usr/include/aarch64-linux-gnu/ffi.h"),
        ),
    ),
}


def missing(groups: list[PackageGroup]) -> list[str]:
    """Return the names of the packages of some groups that are not there, each once."""
    wanted = [package for group in groups for package in PACKAGES[group]]
    return list(dict.fromkeys(package.name for package in wanted if not package.is_there()))


def main(arguments: list[str]) -> None:
    """Install what is missing, or say how."""
    known = {group.value for group in PackageGroup}
    if not arguments or not set(arguments) <= known:
        fail(f"usage: python -m tools.system_packages GROUP…, of {', '.join(sorted(known))}; found {arguments}")
    try:
        ensure([PackageGroup(argument) for argument in arguments])
    except MissingPackagesError as error:
        tell(f"error: {error}")
        sys.exit(_MISSING)
    except StepFailedError as error:
        fail(str(error))


def ensure(groups: list[PackageGroup]) -> None:
    """Install what is missing of some groups.

    Raises:
        MissingPackagesError: This user may not install packages.
        StepFailedError: They could not be installed.

    """
    names = missing(groups)
    if not names:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        command = f"sudo apt-get install {' '.join(names)}"
        raise MissingPackagesError(f"not installed: {', '.join(names)}. On Debian and Ubuntu: {command}")
    _install(names)


def _install(names: list[str]) -> None:
    """Install packages; renew the lists of available packages where they are missing or too old."""
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    title = f"installing {' '.join(names)}"
    answer = run_step(title, [*_INSTALL, *names], _TIMEOUT)
    if answer.returncode != 0:
        run_step("renewing the lists of packages", [*_APT_GET, "update"], _TIMEOUT)
        answer = run_step(title, [*_INSTALL, *names], _TIMEOUT)
    if answer.returncode != 0:
        command = " ".join([*_INSTALL, *names])
        raise StepFailedError(f"{command} ended with exit code {answer.returncode}:\n{answer.stdout.strip()}")
    tell(f"installed {', '.join(names)}")


if __name__ == "__main__":
    main(sys.argv[1:])
