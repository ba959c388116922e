"""Runs programs in an image's root file system as a restricted Pod would: any user, nothing but /tmp to write to.

Needs root and util-linux, and no container runtime: a mount and a process namespace, and a read-only bind mount.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.image.archive import ImageArchive

RANDOM_USER = 1_234_560_000
"""A user of no name, as OpenShift gives each namespace some."""

_ENTER = r"""
set -e
root=$1; user=$2; directory=$3; shift 3
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
mkdir "$root/dev/shm" "$root/dev/pts"
for device in null zero full random urandom tty; do
  touch "$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
mount -t tmpfs -o mode=1777,size=64m tmpfs "$root/dev/shm"
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$root/tmp"
mount -o remount,bind,ro "$root"
exec chroot "$root" /usr/bin/setpriv --reuid="$user" --regid=0 --clear-groups \
  --no-new-privs --inh-caps=-all --bounding-set=-all /bin/sh -c 'cd "$0" && exec "$@"' "$directory" "$@"
"""


def why_not() -> str | None:
    """Return why no program can be run so here; None where it can."""
    if os.geteuid() != 0:
        return "only root may enter an image's root file system"
    missing = [program for program in ("unshare", "chroot") if shutil.which(program) is None]
    return f"not installed: {', '.join(missing)}" if missing else None


@dataclass(frozen=True, slots=True)
class Container:
    """An image's root file system, written out below ``root``."""

    image: ImageArchive
    root: Path

    def command(self, program: Sequence[str], user: int = RANDOM_USER) -> list[str]:
        """Return the command line that runs a program of the image."""
        unshare = ["unshare", "--mount", "--propagation=private", "--pid", "--fork", "--kill-child"]
        enter = ["sh", "-c", _ENTER, "enter", str(self.root), str(user), self.image.config.working_directory]
        return [*unshare, *enter, *program]

    def run(self, *program: str, user: int = RANDOM_USER, timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run a program of the image, with the environment that the image gives it; seconds are its limit."""
        environment = {**self.image.config.environment}
        host = {"PATH": os.environ["PATH"]}
        given = ["/usr/bin/env", "-i", *(f"{name}={value}" for name, value in environment.items())]
        return subprocess.run(
            self.command([*given, *program], user),
            env=host, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=timeout, check=False,
        )  # fmt: skip
