"""The flags of leader election, as ``ansible-operator run`` has them.

``run`` reads them into ``ElectionSettings``; without --leader-elect the other flags have no effect.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final, TypeAlias

from reconcile_runner import logs
from reconcile_runner.cli.values import NAMESPACE_NAME, OBJECT_NAME, boolean, duration, flag
from reconcile_runner.compat import ENV_OPERATOR_NAME
from reconcile_runner.errors import ConfigError
from reconcile_runner.options import ElectionSettings

LeaderElect: TypeAlias = Annotated[
    str | None,
    flag(
        "--leader-elect",
        "BOOLEAN",
        "Let only one of several operators with the same Lease act.",
        default=None,
        shown="false",
    ),
]
EnableLeaderElection: TypeAlias = Annotated[
    str | None, flag("--enable-leader-election", "BOOLEAN", "Deprecated: use --leader-elect.", default=None)
]
LeaderElectionId: TypeAlias = Annotated[
    str, flag("--leader-election-id", "NAME", "Name of the Lease; needed with --leader-elect.")
]
LeaderElectionNamespace: TypeAlias = Annotated[
    str,
    flag(
        "--leader-election-namespace",
        "NAMESPACE",
        "Namespace of the Lease; needed outside a cluster.",
        shown="the Pod's",
    ),
]
LeaseDuration: TypeAlias = Annotated[
    float,
    flag(
        "--leader-elect-lease-duration",
        "DURATION",
        "How long a lease counts without a renewal; whole seconds.",
        read=duration,
        default="15s",
    ),
]
RenewDeadline: TypeAlias = Annotated[
    float,
    flag(
        "--leader-elect-renew-deadline",
        "DURATION",
        "How long a leader that cannot renew continues before it ends; less than the lease's duration.",
        read=duration,
        default="10s",
    ),
]

BOOLEANS: Final = frozenset({"--leader-elect", "--enable-leader-election"})
"""Those that mean ``true`` where no value follows with ``=``."""

MIN_RENEW_DEADLINE: Final = 2.4
"""Seconds that a renew deadline must exceed: client-go's retry period of 2 s and its jitter of 1.2."""

_log = logs.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Timing:
    """Both in seconds."""

    lease_duration: float
    renew_deadline: float


def lease_name(name: str, environ: Mapping[str, str]) -> str:
    """Return the flag's value, else that of the deprecated variable; may be empty."""
    return name or environ.get(ENV_OPERATOR_NAME, "")


def election(
    leader_elect: str | None, enable_leader_election: str | None, name: str, namespace: str, times: Timing
) -> ElectionSettings | None:
    """Return how a leader is elected; None without election.

    Raises ``ConfigError`` where both flags are set, or a value is missing or not possible.
    """
    if leader_elect is not None and enable_leader_election is not None:
        raise ConfigError("--leader-elect and --enable-leader-election are both set, expected the first alone")
    if enable_leader_election is not None:
        _log.warning("deprecated flag", flag="--enable-leader-election", use="--leader-elect")
    asked = boolean("--leader-elect", leader_elect or "false")
    if not asked and not boolean("--enable-leader-election", enable_leader_election or "false"):
        return None
    if not OBJECT_NAME.fullmatch(name):
        found = repr(name) if name else "none"
        raise ConfigError(f"--leader-election-id: found {found}, expected the name of a Lease, such as my-operator")
    if namespace and not NAMESPACE_NAME.fullmatch(namespace):
        raise ConfigError(f"--leader-election-namespace: found {namespace!r}, expected the name of a namespace")
    _check(times)
    return ElectionSettings(name, namespace, int(times.lease_duration), times.renew_deadline)


def _check(times: Timing) -> None:
    if times.renew_deadline <= MIN_RENEW_DEADLINE:
        raise ConfigError(
            f"--leader-elect-renew-deadline: found {times.renew_deadline:g}s, expected more than "
            f"{MIN_RENEW_DEADLINE}s: the lease is renewed every 2s"
        )
    if times.lease_duration != int(times.lease_duration):
        raise ConfigError(
            f"--leader-elect-lease-duration: found {times.lease_duration:g}s, expected whole seconds, as a Lease has"
        )
    if times.lease_duration <= times.renew_deadline:
        raise ConfigError(
            f"--leader-elect-lease-duration: found {times.lease_duration:g}s, expected more than "
            f"--leader-elect-renew-deadline, {times.renew_deadline:g}s"
        )
