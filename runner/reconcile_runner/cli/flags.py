"""The flags of ``run``: names, help and how their texts are read.

Names, defaults and spelling are those of ``ansible-operator run`` where it has the flag: docs/reference/cli.md.
A text that cannot be read is a usage error: ``typer.BadParameter``, which ends the process with exit code 2.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from reconcile_runner import logs
from reconcile_runner.backoff import RetryDelays
from reconcile_runner.cli import electionflags, metricsflags, upstreamflags
from reconcile_runner.cli.values import boolean, duration
from reconcile_runner.compat import ENV_COLLECTIONS_PATH, ENV_ROLES_PATH
from reconcile_runner.options import EngineName, LogEvents, LogFormat, LogLevel

WatchesFile: TypeAlias = Annotated[Path, typer.Option("--watches-file", metavar="FILE", help="The watches to serve.")]
Kubeconfig: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--kubeconfig",
        metavar="FILE",
        help="Which cluster, and as whom.",
        show_default="$KUBECONFIG, else the Pod's service account",
    ),
]
ReconcilePeriod: TypeAlias = Annotated[
    str,
    typer.Option(
        "--reconcile-period",
        metavar="DURATION",
        help="Run again for an object that nothing happened to after this long; 0: never. A watch's reconcilePeriod "
        "and the object's annotation win.",
    ),
]
MaxConcurrentReconciles: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--max-concurrent-reconciles",
        min=1,
        metavar="NUMBER",
        help="Objects of one watch that are reconciled at a time. MAX_CONCURRENT_RECONCILES_<KIND>_<GROUP> wins.",
        show_default="number of CPUs",
    ),
]
MaxConcurrentRuns: TypeAlias = Annotated[
    int,
    typer.Option(
        "--max-concurrent-runs",
        min=0,
        metavar="NUMBER",
        help="Objects of all watches together that are reconciled at a time; 0: no limit besides each watch's own.",
    ),
]
FailureBackoffBase: TypeAlias = Annotated[
    str,
    typer.Option(
        "--failure-backoff-base",
        metavar="DURATION",
        help="How long a failed object waits for its first retry; twice as long for each further one. A watch's "
        "failureBackoff wins.",
    ),
]
FailureBackoffCap: TypeAlias = Annotated[
    str,
    typer.Option("--failure-backoff-cap", metavar="DURATION", help="How long a failed object waits at most."),
]
MaxArtifactsSize: TypeAlias = Annotated[
    str,
    typer.Option(
        "--max-artifacts-size",
        metavar="SIZE|unlimited",
        help="How much the artifacts of all runs may take, such as 128Mi; the oldest go first; 0: none are kept.",
    ),
]
RunTimeout: TypeAlias = Annotated[
    str,
    typer.Option(
        "--run-timeout", metavar="DURATION", help="End a run that takes longer, with all its processes; 0: never."
    ),
]
GracefulShutdownTimeout: TypeAlias = Annotated[
    str,
    typer.Option("--graceful-shutdown-timeout", metavar="DURATION", help="How long runs may go on after SIGTERM."),
]
Verbosity: TypeAlias = Annotated[
    int,
    typer.Option(
        "--ansible-verbosity",
        min=0,
        max=7,
        metavar="NUMBER",
        help="Number of -v, 0 to 7. ANSIBLE_VERBOSITY_<KIND>_<GROUP> and the object's annotation win.",
    ),
]
RolesPath: TypeAlias = Annotated[
    str,
    typer.Option(
        "--ansible-roles-path",
        envvar=ENV_ROLES_PATH,
        metavar="DIRECTORIES",
        help="Where roles are, separated by ':'; ./roles is always looked at last.",
    ),
]
CollectionsPath: TypeAlias = Annotated[
    str,
    typer.Option(
        "--ansible-collections-path",
        envvar=ENV_COLLECTIONS_PATH,
        metavar="DIRECTORIES",
        help="Where collections are, separated by ':'.",
        show_default="/usr/share/ansible/collections:~/.ansible/collections",
    ),
]
AnsibleArgs: TypeAlias = Annotated[
    str,
    typer.Option(
        "--ansible-args",
        metavar="ARGUMENTS",
        help="More arguments for ansible-playbook, in one text; one pair of single quotes around it is dropped.",
    ),
]
AnsibleLogEvents: TypeAlias = Annotated[
    str,
    typer.Option(
        "--ansible-log-events", metavar="nothing|tasks|output|everything", help="How much of a run is logged."
    ),
]
Engine: TypeAlias = Annotated[
    EngineName | None,
    typer.Option(
        "--engine",
        help="How a run is started: as a fork of a process that holds Ansible, or as a new process.",
        show_default="forkserver where it can be used, else subprocess",
    ),
]
RunnerDirectory: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--runner-dir",
        metavar="DIRECTORY",
        help="Where the inputs and artifacts of runs are kept; they hold secrets.",
        show_default="a memory-backed directory where there is one",
    ),
]
ProxyPort: TypeAlias = Annotated[
    int,
    typer.Option(
        "--proxy-port",
        min=0,
        max=65535,
        metavar="PORT",
        help="Port on the loopback interface through which runs reach the API server; 0: any free one.",
    ),
]
HealthProbeBindAddress: TypeAlias = Annotated[
    str,
    typer.Option(
        "--health-probe-bind-address",
        metavar="[HOST]:PORT",
        help="Where /healthz and /readyz are served; 0: nowhere; port 0: any free one.",
    ),
]
UserMetricsBindAddress: TypeAlias = Annotated[
    str,
    typer.Option(
        "--user-metrics-bind-address",
        metavar="[HOST]:PORT",
        help="Where roles' metrics (osdk_metric) are taken; 0: nowhere; port 0: any free one.",
    ),
]
InjectOwnerRef: TypeAlias = Annotated[
    str,
    typer.Option(
        "--inject-owner-ref",
        metavar="BOOLEAN",
        help="Make what a run creates a dependent of the reconciled object: it goes with its owner, and what happens "
        "to it reconciles the owner.",
    ),
]
ZapEncoder: TypeAlias = Annotated[
    LogFormat | None,
    typer.Option("--zap-encoder", help="How log lines look.", show_default="console on a terminal, else json"),
]
ZapLogLevel: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--zap-log-level",
        metavar="debug|info|error|panic|NUMBER",
        help="The least severe lines to write; a number above 0 means debug.",
        show_default="info, debug with --zap-devel",
    ),
]
ZapDevel: TypeAlias = Annotated[
    str,
    typer.Option("--zap-devel", metavar="BOOLEAN", help="Log for people: console, debug."),
]

BOOLEAN_FLAGS = frozenset(
    {"--inject-owner-ref", "--zap-devel"} | electionflags.BOOLEANS | metricsflags.BOOLEANS | upstreamflags.BOOLEANS
)
"""Flags that mean ``true`` where no value follows with ``=``, as Go's flags do."""

_log = logs.get_logger(__name__)


def spell_out_booleans(arguments: list[str]) -> list[str]:
    """Return the arguments with ``=true`` after each boolean flag that stands alone."""
    return [f"{argument}=true" if argument in BOOLEAN_FLAGS else argument for argument in arguments]


def retry_delays(base: str, cap: str) -> RetryDelays:
    """Read the two durations, both above zero and in order."""
    delays = RetryDelays(duration("--failure-backoff-base", base), duration("--failure-backoff-cap", cap))
    if delays.base <= 0:
        message = f"found {base!r}, expected a duration above zero, such as 1s"
        raise typer.BadParameter(message, param_hint="--failure-backoff-base")
    if delays.cap < delays.base:
        message = f"found {cap!r}, expected {base} (--failure-backoff-base) or longer"
        raise typer.BadParameter(message, param_hint="--failure-backoff-cap")
    return delays


def ansible_args(text: str) -> str:
    """Drop one pair of single quotes around the arguments, which a manifest's author needed for the shell."""
    wrapped = len(text) > 1 and text.startswith("'") and text.endswith("'")
    return text[1:-1] if wrapped else text


def log_events(text: str) -> LogEvents:
    """Read the amount in any case. A word that is none of them is logged as an error and means tasks, as upstream."""
    try:
        return LogEvents(text.lower())
    except ValueError:
        message = f"found {text!r}, expected nothing, tasks, output or everything; tasks is used"
        _log.error("invalid flag value", flag="--ansible-log-events", error=message)
        return LogEvents.TASKS


def inject_owner_ref(text: str) -> bool:
    """Read whether runs make dependents; say that they do not, as upstream does."""
    injects = boolean("--inject-owner-ref", text)
    if not injects:
        _log.warning("owner references are not injected and dependents not watched", flag="--inject-owner-ref=false")
    return injects


def log_level(flag: str, text: str) -> LogLevel:
    """Read zap's words; a number above 0 is a finer debug level there, and debug here."""
    if text.isascii() and text.isdecimal() and int(text) > 0:
        return LogLevel.DEBUG
    try:
        return LogLevel(text.lower())
    except ValueError as error:
        message = f"found {text!r}, expected debug, info, error, panic or a number above 0"
        raise typer.BadParameter(message, param_hint=flag) from error
