"""The node's network: a link from the machine to the node's namespace, and a range of addresses for Pods behind it.

The machine sees one link and one route, which it forgets with the namespace; its firewall and its forwarding are not
touched. So Pods reach the machine (the API server), and not what lies beyond it.
"""

from __future__ import annotations

import errno
import ipaddress
import json
import socket
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconcile_devcluster.errors import StartError
from reconcile_devcluster.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

SLOTS = 256
"""How many nodes may exist on one machine."""

NODE_LINK = "eth0"
"""Name of the node's end of the link."""

_LOCK_INTERVAL = 0.05
"""Seconds between two attempts at a lock that cannot be waited for."""


@dataclass(frozen=True, slots=True)
class NodeNetwork:
    """Addresses of one node.

    Attributes:
        slot: 0 to 255; no two nodes of a machine have the same.

    """

    slot: int

    @property
    def link_range(self) -> ipaddress.IPv4Network:
        """Range of the link between machine and node."""
        return ipaddress.IPv4Network(f"10.213.{self.slot}.0/24")

    @property
    def pod_range(self) -> ipaddress.IPv4Network:
        """Range of Pods."""
        return ipaddress.IPv4Network(f"10.214.{self.slot}.0/24")

    @property
    def host_address(self) -> str:
        """The machine's address on the link; the API server listens on it."""
        return str(self.link_range[1])

    @property
    def node_address(self) -> str:
        """The node's address on the link."""
        return str(self.link_range[2])


@contextmanager
def exclusive() -> Iterator[None]:
    """Be the only one on this machine that chooses addresses, until they are in use."""
    with socket.socket(socket.AF_UNIX) as lock, Progress("waiting for another node to choose its addresses"):
        while True:
            try:
                # A name without a file: the kernel forgets it with us.
                lock.bind("\0devcluster-node-network")
                break
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                time.sleep(_LOCK_INTERVAL)
        yield


def choose_slot(preferred: int) -> int:
    """Return the first slot, counted from the preferred one, whose ranges no route of the machine overlaps.

    Raises:
        StartError: There is none.

    """
    taken = _routed_ranges()
    for offset in range(SLOTS):
        network = NodeNetwork((preferred + offset) % SLOTS)
        if not any(one.overlaps(network.link_range) or one.overlaps(network.pod_range) for one in taken):
            return network.slot
    raise StartError("10.213.0.0/16 and 10.214.0.0/16 have no room for a node: the machine has routes to all of them")


def connect(link: str, network: NodeNetwork, service_range: str, node_pid: int) -> None:
    """Make the link and the routes of both sides.

    Args:
        link: Name of the machine's end.
        network: Addresses.
        service_range: Range of Service addresses, for example `10.0.0.0/24`.
        node_pid: Process 1 of the node.

    Raises:
        StartError: A command failed; the message has its answer.

    """
    prefix = network.link_range.prefixlen
    _ip("link", "add", link, "type", "veth", "peer", "name", NODE_LINK, "netns", str(node_pid))
    _ip("address", "add", f"{network.host_address}/{prefix}", "dev", link)
    _ip("link", "set", link, "up")
    in_node = ("nsenter", f"--target={node_pid}", "--net")
    _ip("link", "set", "lo", "up", prefix=in_node)
    _ip("address", "add", f"{network.node_address}/{prefix}", "dev", NODE_LINK, prefix=in_node)
    _ip("link", "set", NODE_LINK, "up", prefix=in_node)
    # kube-proxy gives these addresses another meaning, but only where there is a route to them.
    _ip("route", "add", service_range, "via", network.host_address, prefix=in_node)
    _ip("route", "add", str(network.pod_range), "via", network.node_address)


def disconnect(link: str) -> None:
    """Remove the link, if it is there."""
    if link in (one["ifname"] for one in _ip_json("link", "show")):
        _ip("link", "delete", link)


def _routed_ranges() -> list[ipaddress.IPv4Network]:
    destinations = (route["dst"] for route in _ip_json("-4", "route", "show", "table", "all"))
    return list(_networks(one for one in destinations if one != "default"))


def _networks(texts: Iterable[str]) -> Iterable[ipaddress.IPv4Network]:
    for text in texts:
        network = ipaddress.IPv4Network(text, strict=False)
        # Half of all addresses are what a VPN routes in place of a default route.
        if network.prefixlen > 1:
            yield network


def _ip_json(*arguments: str) -> list[dict[str, str]]:
    answer: list[dict[str, str]] = json.loads(_ip("-json", *arguments) or "[]")
    return answer


def _ip(*arguments: str, prefix: Sequence[str] = ()) -> str:
    answer = subprocess.run(
        [*prefix, "ip", *arguments], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    if answer.returncode != 0:
        raise StartError(f"ip {' '.join(arguments)}: {answer.stderr.strip()}")
    return answer.stdout
