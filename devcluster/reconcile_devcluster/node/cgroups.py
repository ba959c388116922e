"""The node's control group: one directory in each hierarchy, below which the kubelet makes those of Pods.

`node` makes it, `cleanup` removes it with all below. Both layouts are known: one hierarchy for all controllers (v2), or
one for each (v1).
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")

_KUBELET_CONTROLLERS = ("cpu", "cpuset", "hugetlb", "memory", "pids")
"""What the kubelet wants to find in its group, where the kernel has it."""

_CPUSET_FILES = ("cpuset.cpus", "cpuset.mems")


def make(group: str, root: Path = ROOT) -> None:
    """Make a group in every hierarchy; one that is there stays.

    Args:
        group: Its path from the root of a hierarchy, for example `/devcluster-0a1b2c3d`.
        root: Where the hierarchies are mounted.

    Raises:
        OSError: It cannot be made.

    """
    for hierarchy in hierarchies(root):
        if (hierarchy / "cgroup.controllers").exists():
            _hand_down_controllers(hierarchy)
        directory = hierarchy / group.lstrip("/")
        directory.mkdir(exist_ok=True)
        for name in _CPUSET_FILES:
            # A group of a v1 hierarchy begins without processors and takes no process.
            inherited = hierarchy / name
            if inherited.is_file() and not (directory / name).read_text(encoding="ascii").strip():
                (directory / name).write_text(inherited.read_text(encoding="ascii"), encoding="ascii")


def remove(group: str, root: Path = ROOT) -> list[Path]:
    """Remove a group with all groups below it.

    Returns:
        Groups that still hold processes, and so stay.

    """
    busy: list[Path] = []
    for hierarchy in hierarchies(root):
        top = hierarchy / group.lstrip("/")
        for directory, _, _ in os.walk(top, topdown=False):
            try:
                Path(directory).rmdir()
            except FileNotFoundError:
                continue
            except OSError as error:
                if error.errno not in (errno.EBUSY, errno.ENOTEMPTY):
                    raise
                busy.append(Path(directory))
    return busy


def hierarchies(root: Path = ROOT) -> list[Path]:
    """Mounted hierarchies: the root itself where there is one for all controllers, else each directory below it."""
    if (root / "cgroup.controllers").exists():
        return [root]
    return sorted(path.parent for path in root.glob("*/cgroup.procs"))


def _hand_down_controllers(hierarchy: Path) -> None:
    """Let groups of a v2 hierarchy have the kubelet's controllers; systemd has seen to most of them."""
    available = (hierarchy / "cgroup.controllers").read_text(encoding="ascii").split()
    control = hierarchy / "cgroup.subtree_control"
    handed_down = control.read_text(encoding="ascii").split()
    wanted = [f"+{one}" for one in _KUBELET_CONTROLLERS if one in available and one not in handed_down]
    if wanted:
        control.write_text(" ".join(wanted), encoding="ascii")
