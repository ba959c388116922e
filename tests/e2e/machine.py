"""What a node could leave behind on the machine, to be compared before and after."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, fields
from pathlib import Path

from reconcile_devcluster.node import cgroups
from reconcile_devcluster.process import ProcessIdentity

_SETTINGS = (
    *("vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops"),
    *("kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes"),
    *("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding", "net/ipv4/conf/all/route_localnet"),
    *("net/netfilter/nf_conntrack_max", "net/netfilter/nf_conntrack_tcp_timeout_established"),
)

_DIRECTORIES = (
    *("/run/containerd", "/run/netns", "/run/runc", "/var/lib/containerd", "/var/lib/kubelet", "/var/lib/cni"),
    *("/var/log/pods", "/var/log/containers", "/etc/cni", "/etc/kubernetes", "/usr/libexec/kubernetes", "/opt/cni"),
)

_IMAGE_BUILDS = "/var/lib/containers/storage/"
"""Where buildah and podman mount what they work on; no node does."""

_OF_SOME_NODE = re.compile(r"dcnode[0-9a-f]{8}|devcluster-[0-9a-f]{8}|10\.21[34]\.\d+\.")


@dataclass(frozen=True)
class Machine:
    """A machine's state, as far as nodes may have an influence on it; each field is a set of readable lines."""

    mounts: frozenset[str]
    links: frozenset[str]
    routes: frozenset[str]
    firewall: frozenset[str]
    network_namespaces: frozenset[str]
    control_groups: frozenset[str]
    settings: frozenset[str]
    directories: frozenset[str]

    @classmethod
    def now(cls, ours: tuple[str, ...] = ()) -> Machine:
        """Look at the machine.

        Args:
            ours: Texts by which lines of the node under test are known; those of other nodes are left out.

        """

        def relevant(lines: list[str]) -> frozenset[str]:
            return frozenset(
                line for line in lines if not _OF_SOME_NODE.search(line) or any(text in line for text in ours)
            )

        mounts = Path("/proc/self/mounts").read_text().splitlines()
        return cls(
            mounts=relevant([line for line in mounts if _IMAGE_BUILDS not in line]),
            links=relevant([path.name for path in Path("/sys/class/net").iterdir()]),
            routes=relevant(_output("ip", "route", "show", "table", "all")),
            firewall=relevant(_output("iptables-save") + _output("ip6tables-save")),
            network_namespaces=relevant(_output("ip", "netns", "list")),
            control_groups=relevant(_control_groups()),
            settings=frozenset(f"{name}: {_setting(name)}" for name in _SETTINGS),
            directories=frozenset(name for name in _DIRECTORIES if Path(name).exists()),
        )


def differences(before: Machine, after: Machine) -> list[str]:
    """Return each line that is in one of two states only, with `+` or `-` and the name of its field.

    Mounts and control groups of others come and go all the time: that some have gone says nothing.
    """
    restless = ("mounts", "control_groups")
    return [
        f"{sign} {field.name}: {line}"
        for field in fields(Machine)
        for sign, one, other in (("-", before, after), ("+", after, before))
        if sign == "+" or field.name not in restless
        for line in sorted(getattr(one, field.name) - getattr(other, field.name))
    ]


def processes_with(namespace: str) -> list[int]:
    """Pids of processes in a namespace, given as the link /proc/PID/ns/KIND reads, for example `net:[4026532]`.

    Processes that have ended, and wait for the machine's process 1 to take note, do not count.
    """
    kind = namespace.partition(":")[0]
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            if str((directory / "ns" / kind).readlink()) == namespace:
                found.append(ProcessIdentity.of(int(directory.name)).pid)
        except OSError:
            continue
    return found


def _control_groups() -> list[str]:
    return [
        str(directory)
        for hierarchy in cgroups.hierarchies()
        for pattern in ("*", "kubepods*/*")
        for directory in hierarchy.glob(pattern)
        if directory.is_dir()
    ]


def _setting(name: str) -> str:
    path = Path("/proc/sys", name)
    return path.read_text().strip() if path.exists() else "absent"


def _output(*command: str) -> list[str]:
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    # Counters and times differ from call to call.
    return [re.sub(r"\[\d+:\d+\]", "", line) for line in lines if not line.startswith("#")]
