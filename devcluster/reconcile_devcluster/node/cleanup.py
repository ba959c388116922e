"""Remove what the machine sees of a node: its link and its control groups. The kernel takes the rest back.

Called by `controlplane` when the node's processes have ended, and by `node` before a start, for what a crash has left.
"""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

from reconcile_devcluster.errors import DevclusterError
from reconcile_devcluster.node import cgroups, network
from reconcile_devcluster.process import stop
from reconcile_devcluster.progress import Progress

if TYPE_CHECKING:
    from reconcile_devcluster.node.files import NodeFiles

_END_TIMEOUT = 30.0
"""Seconds the kernel gets to end the last processes of a node whose process 1 was killed."""

_POLL_INTERVAL = 0.05
"""Seconds between two attempts; nothing tells when a control group has become empty."""


def remove_traces(files: NodeFiles) -> None:
    """Remove link and control groups of a node whose programs have been ended.

    Raises:
        DevclusterError: Processes are left in a control group.

    """
    if not files.root.exists():
        return
    with Progress("removing the node's link and control groups"):
        process_1 = files.load_process_1()
        if process_1 is not None:
            # It ends when all other processes of the node have ended, and not before.
            stop(process_1, grace=0)
        deadline = time.monotonic() + _END_TIMEOUT
        while busy := cgroups.remove(files.cgroup):
            if time.monotonic() > deadline:
                raise DevclusterError(f"{busy[0]}: processes in it did not end within {_END_TIMEOUT:.0f} s")
            time.sleep(_POLL_INTERVAL)
        if shutil.which("ip") is not None:
            network.disconnect(files.host_link)
        files.process_1.unlink(missing_ok=True)
