"""The operator's settings, whatever their origin.

All durations are in seconds. Names and defaults are upstream's (`ansible-operator run`) where upstream has the flag.
"""

from __future__ import annotations

import enum
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from reconcile_runner.apimachinery.objects import GroupVersionKind
from reconcile_runner.backoff import RetryDelays
from reconcile_runner.bounds import DEFAULT_BOUNDS, Bounds


class EngineName(enum.StrEnum):
    """The execution engines."""

    FORKSERVER = "forkserver"
    SUBPROCESS = "subprocess"


class LogEvents(enum.StrEnum):
    """How much of a run is logged (``--ansible-log-events``).

    Each member means more than the one before it.

    ``OUTPUT`` is not upstream's: what Ansible prints, in lines of the log.
    """

    NOTHING = "nothing"
    TASKS = "tasks"
    OUTPUT = "output"
    EVERYTHING = "everything"


class LogFormat(enum.StrEnum):
    """How log lines look (``--zap-encoder``): JSON for machines, console for people."""

    JSON = "json"
    CONSOLE = "console"


class LogLevel(enum.StrEnum):
    """The least severe lines that are written (``--zap-log-level``)."""

    DEBUG = "debug"
    INFO = "info"
    ERROR = "error"
    PANIC = "panic"


@dataclass(frozen=True, slots=True)
class BindAddress:
    """Where a server listens.

    An empty ``host`` means every interface; port 0 asks the system for a free one.
    """

    host: str
    port: int


USER_METRICS_BIND_ADDRESS: Final = BindAddress("127.0.0.1", 5050)
"""Where ``osdk_metric`` of upstream's collection sends metrics, and of this project's where nothing else is set."""


@dataclass(frozen=True, slots=True)
class ElectionSettings:
    """How this operator and others agree on which one acts.

    Durations are in seconds, defaults are client-go's.

    - ``name``, ``namespace``: the Lease; an empty namespace means that of this Pod
    - ``lease_duration``: how long others leave a holder alone that does not renew; whole seconds, as Leases have them
    - ``renew_deadline``: how long a leader that cannot renew goes on; shorter than ``lease_duration``
    """

    name: str
    namespace: str = ""
    lease_duration: int = 15
    renew_deadline: float = 10.0


DEFAULT_CERT_DIR: Final = Path("/tmp/k8s-metrics-server/serving-certs")  # noqa: S108 upstream's
"""Where controller-runtime's metrics server looks for a certificate by default."""


@dataclass(frozen=True, slots=True)
class SecureServing:
    """How metrics are served over TLS.

    - ``directory``: where certificate and key are; None: ``DEFAULT_CERT_DIR`` where it has both, else a self-signed
      certificate is made
    - ``certificate_name``, ``key_name``: their files in it, in PEM
    - ``requires_rbac``: whether metrics are served only to clients with a token and the right to get them
    """

    directory: Path | None = None
    certificate_name: str = "tls.crt"
    key_name: str = "tls.key"
    requires_rbac: bool = False


def usable_cpus() -> int:
    """Return the number of CPUs that this process may use, as Go's ``NumCPU``."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS has no affinity
        return os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class Options:
    """Settings of ``run``.

    - ``watches_file``: default ``./watches.yaml``
    - ``kubeconfig``: a file, or None for ``KUBECONFIG`` and then the Pod's ServiceAccount
    - ``namespaces``: ``WATCH_NAMESPACE``; empty: all
    - ``reconcile_period``: the period between reconciles of an object that nothing happened to; 0: never
    - ``max_concurrent_reconciles``: workers of each watch (>= 1); default: the number of CPUs that may be used.
      ``workers_by_kind`` holds what ``MAX_CONCURRENT_RECONCILES_<KIND>_<GROUP>`` overrides; ask ``workers_for``
    - ``max_concurrent_runs``: how many reconciles go on at a time over all kinds; None: no limit besides
    - ``retry_delays``: how long failed requests wait, where a watch does not say so itself
    - ``bounds``: how much who may edit an object can ask for
    - ``artifacts_limit``: bytes that the artifacts of all runs may take; 0: none are kept; None: no limit
    - ``run_timeout``: a run that takes longer is ended with its whole process group; 0: never
    - ``graceful_shutdown_timeout``: how long running roles may go on after SIGTERM
    - ``ansible_verbosity``: 0 to 7, the number of ``-v``. ``verbosity_by_kind`` holds what
      ``ANSIBLE_VERBOSITY_<KIND>_<GROUP>`` overrides; ask ``verbosity_for``
    - ``ansible_roles_path``, ``ansible_collections_path``, ``ansible_args``: handed to Ansible when not empty
    - ``ansible_playbook``: the program of another environment that runs use; None: that of the operator's own
    - ``gather_facts``: whether a role's play gathers facts first; False where ``ANSIBLE_GATHERING=explicit``
    - ``engine``: how runs are started; None: ``forkserver`` where it can be used, else ``subprocess``
    - ``confine_runs``: whether runs are kept from the operator's credentials and from processes of others
    - ``inject_owner_ref``: whether what a run creates gets its owner, and is watched as a dependent
    - ``proxy_port``: loopback port between runs and the API server; 0: any free one
    - ``runner_dir``: the root of private data directories; None: a memory-backed path where there is one
    - ``commit``: what this was built from, for the build information among the metrics; empty: unknown
    - ``election``: how a leader is elected; None: without election
    - ``health_probe_bind_address``, ``metrics_bind_address``: None turns the server off
    - ``secure_metrics``: how metrics are served over TLS; None: as plain HTTP
    - ``user_metrics_bind_address``: where roles' metrics are taken; where the port of the default is taken, any free
      one; None turns the server off
    """

    watches_file: Path = Path("watches.yaml")
    kubeconfig: Path | None = None
    namespaces: tuple[str, ...] = ()
    reconcile_period: float = 36000.0
    max_concurrent_reconciles: int = field(default_factory=usable_cpus)
    workers_by_kind: Mapping[GroupVersionKind, int] = field(default_factory=dict)
    verbosity_by_kind: Mapping[GroupVersionKind, int] = field(default_factory=dict)
    max_concurrent_runs: int | None = None
    retry_delays: RetryDelays = field(default_factory=RetryDelays)
    bounds: Bounds = DEFAULT_BOUNDS
    artifacts_limit: int | None = 128 * 1024 * 1024
    run_timeout: float = 3600.0
    graceful_shutdown_timeout: float = 30.0
    ansible_verbosity: int = 2
    ansible_roles_path: str = ""
    ansible_collections_path: str = ""
    ansible_args: str = ""
    ansible_log_events: LogEvents = LogEvents.TASKS
    ansible_playbook: Path | None = None
    gather_facts: bool = True
    engine: EngineName | None = None
    confine_runs: bool = True
    inject_owner_ref: bool = True
    proxy_port: int = 0
    runner_dir: Path | None = None
    election: ElectionSettings | None = None
    health_probe_bind_address: BindAddress | None = BindAddress("", 6789)
    metrics_bind_address: BindAddress | None = BindAddress("", 8443)
    secure_metrics: SecureServing | None = None
    user_metrics_bind_address: BindAddress | None = USER_METRICS_BIND_ADDRESS
    log_format: LogFormat = LogFormat.JSON
    log_level: LogLevel = LogLevel.INFO
    commit: str = ""

    def workers_for(self, gvk: GroupVersionKind) -> int:
        """Return how many objects of a kind may be reconciled at a time."""
        return self.workers_by_kind.get(gvk, self.max_concurrent_reconciles)

    def verbosity_for(self, gvk: GroupVersionKind) -> int:
        """Return the number of ``-v`` for runs of a kind, 0 to 7.

        An annotation of the object may override it.
        """
        return self.verbosity_by_kind.get(gvk, self.ansible_verbosity)
