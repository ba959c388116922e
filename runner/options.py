"""The operator's settings, whatever their origin: ``cli`` reads flags and environment into these, ``manager`` obeys.

All durations are in seconds. Names and defaults are upstream's (`ansible-operator run`) where upstream has the flag.
"""

from __future__ import annotations

import enum
import os
from dataclasses import dataclass
from pathlib import Path


class EngineName(enum.StrEnum):
    """The execution engines."""

    SUBPROCESS = "subprocess"


class LogEvents(enum.StrEnum):
    """How much of a run is logged (``--ansible-log-events``)."""

    NOTHING = "nothing"
    TASKS = "tasks"
    EVERYTHING = "everything"


class LogFormat(enum.StrEnum):
    """How log lines look (``--zap-encoder``): JSON for machines, console for people."""

    JSON = "json"
    CONSOLE = "console"


@dataclass(frozen=True, slots=True)
class BindAddress:
    """Where a server listens. Port 0 asks the system for a free one; None as an address turns the server off."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Options:
    """Settings of ``run``.

    - ``watches_file``: default ``./watches.yaml``
    - ``kubeconfig``: a file, or None for ``KUBECONFIG`` and then the Pod's ServiceAccount
    - ``namespaces``: ``WATCH_NAMESPACE``; empty: all
    - ``reconcile_period``: the period between reconciles of an object that nothing happened to; 0: never
    - ``max_concurrent_reconciles``: workers of each watch; default: the number of CPUs. ``workers_by_kind`` holds what
      ``MAX_CONCURRENT_RECONCILES_<KIND>_<GROUP>`` overrides, by that suffix
    - ``run_timeout``: a run that takes longer is ended with its whole process group; 0: never
    - ``graceful_shutdown_timeout``: how long running roles may go on after SIGTERM
    - ``ansible_verbosity``: 0 to 7, the number of ``-v``
    - ``ansible_roles_path``, ``ansible_collections_path``, ``ansible_args``: handed to Ansible when not empty
    - ``proxy_port``: loopback port between runs and the API server; 0: any free one
    - ``runner_dir``: the root of private data directories; None: a memory-backed path where there is one
    """

    watches_file: Path = Path("watches.yaml")
    kubeconfig: Path | None = None
    namespaces: tuple[str, ...] = ()
    reconcile_period: float = 36000.0
    max_concurrent_reconciles: int = os.cpu_count() or 1
    workers_by_kind: tuple[tuple[str, int], ...] = ()
    verbosity_by_kind: tuple[tuple[str, int], ...] = ()
    run_timeout: float = 3600.0
    graceful_shutdown_timeout: float = 30.0
    ansible_verbosity: int = 2
    ansible_roles_path: str = ""
    ansible_collections_path: str = ""
    ansible_args: str = ""
    ansible_log_events: LogEvents = LogEvents.TASKS
    engine: EngineName = EngineName.SUBPROCESS
    proxy_port: int = 0
    runner_dir: Path | None = None
    health_probe_bind_address: BindAddress | None = BindAddress("", 6789)
    metrics_bind_address: BindAddress | None = BindAddress("", 8443)
    log_format: LogFormat = LogFormat.JSON
    log_level: str = "info"
