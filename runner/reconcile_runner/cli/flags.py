"""The flags of the commands: names, defaults, help and how their texts are read.

Names, defaults and spelling are those of ``ansible-operator run`` where it has the flag (docs/reference/cli.md has the
table). A text that cannot be read is a usage error: ``typer.BadParameter``, which ends the process with exit code 2.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from reconcile_runner import logs
from reconcile_runner.backoff import RetryDelays
from reconcile_runner.cli import electionflags, metricsflags, upstreamflags
from reconcile_runner.cli.values import (
    MAX_PORT,
    bind_address,
    boolean,
    duration,
    flag,
    log_level,
    one_of,
    path_or_none,
    size,
    unquoted,
    whole_number,
)
from reconcile_runner.compat import ENV_ANSIBLE_PLAYBOOK, ENV_COLLECTIONS_PATH, ENV_ROLES_PATH
from reconcile_runner.options import BindAddress, EngineName, LogEvents, LogFormat, LogLevel, usable_cpus

WatchesFile: TypeAlias = Annotated[
    Path, flag("--watches-file", "FILE", "The watches to serve.", read=Path, default="watches.yaml")
]
Kubeconfig: TypeAlias = Annotated[
    Path | None,
    flag(
        "--kubeconfig",
        "FILE",
        "Kubeconfig with the cluster and the credentials.",
        read=Path,
        default=None,
        shown="$KUBECONFIG, else the Pod's service account",
    ),
]
ReconcilePeriod: TypeAlias = Annotated[
    float,
    flag(
        "--reconcile-period",
        "DURATION",
        "Reconcile an object again after this long without an event; 0: never. A watch's reconcilePeriod and the "
        "object's annotation win.",
        read=duration,
        default="10h",
    ),
]
MaxConcurrentReconciles: TypeAlias = Annotated[
    int,
    flag(
        "--max-concurrent-reconciles",
        "NUMBER",
        "Objects of one watch that are reconciled at the same time. MAX_CONCURRENT_RECONCILES_<KIND>_<GROUP> wins.",
        read=whole_number(1),
        default=str(usable_cpus()),
        shown="number of CPUs",
    ),
]
MaxConcurrentRuns: TypeAlias = Annotated[
    int,
    flag(
        "--max-concurrent-runs",
        "NUMBER",
        "Objects of all watches that are reconciled at the same time; 0: no limit but each watch's own.",
        read=whole_number(0),
        default="0",
    ),
]
FailureBackoffBase: TypeAlias = Annotated[
    float,
    flag(
        "--failure-backoff-base",
        "DURATION",
        "Delay of the first retry of a failed object; it doubles with each further one. A watch's failureBackoff wins.",
        read=duration,
        default="5ms",
    ),
]
FailureBackoffCap: TypeAlias = Annotated[
    float,
    flag(
        "--failure-backoff-cap",
        "DURATION",
        "Longest delay of a retry of a failed object.",
        read=duration,
        default="1000s",
    ),
]
MaxArtifactsSize: TypeAlias = Annotated[
    int | None,
    flag(
        "--max-artifacts-size",
        "SIZE|unlimited",
        "Space for the artifacts of all runs, such as 128Mi; the oldest are removed first; 0: none are kept.",
        read=size,
        default="128Mi",
    ),
]
MaxAnnotationVerbosity: TypeAlias = Annotated[
    int,
    flag(
        "--max-annotation-verbosity",
        "0..7",
        "Highest verbosity that an object's annotation gives its runs.",
        read=whole_number(0, 7),
        default="4",
    ),
]
MaxAnnotationArtifacts: TypeAlias = Annotated[
    int,
    flag(
        "--max-annotation-artifacts",
        "NUMBER",
        "Runs whose artifacts are kept at most, where an object's annotation says how many.",
        read=whole_number(1),
        default="100",
    ),
]
MinAnnotationPeriod: TypeAlias = Annotated[
    float,
    flag(
        "--min-annotation-reconcile-period",
        "DURATION",
        "Shortest reconcile period that an object's annotation gives.",
        read=duration,
        default="5s",
    ),
]
MaxMetricSeries: TypeAlias = Annotated[
    int,
    flag(
        "--max-metric-series",
        "NUMBER",
        "Objects that have a series of their own in the metrics; further ones are left out.",
        read=whole_number(1),
        default="10000",
    ),
]
RunTimeout: TypeAlias = Annotated[
    float,
    flag(
        "--run-timeout",
        "DURATION",
        "End a run that takes longer, with all its processes; 0: never.",
        read=duration,
        default="1h",
    ),
]
GracefulShutdownTimeout: TypeAlias = Annotated[
    float,
    flag(
        "--graceful-shutdown-timeout",
        "DURATION",
        "How long runs may continue after SIGTERM.",
        read=duration,
        default="30s",
    ),
]
Verbosity: TypeAlias = Annotated[
    int,
    flag(
        "--ansible-verbosity",
        "NUMBER",
        "Number of -v, 0 to 7. ANSIBLE_VERBOSITY_<KIND>_<GROUP> and the object's annotation win.",
        read=whole_number(0, 7),
        default="2",
    ),
]
RolesPath: TypeAlias = Annotated[
    str,
    flag(
        "--ansible-roles-path",
        "DIRECTORIES",
        "Directories of roles, separated by ':'; ./roles is always searched last.",
        env=ENV_ROLES_PATH,
    ),
]
CollectionsPath: TypeAlias = Annotated[
    str,
    flag(
        "--ansible-collections-path",
        "DIRECTORIES",
        "Directories of collections, separated by ':'.",
        shown="/usr/share/ansible/collections:~/.ansible/collections",
        env=ENV_COLLECTIONS_PATH,
    ),
]
AnsibleArgs: TypeAlias = Annotated[
    str,
    flag(
        "--ansible-args",
        "ARGUMENTS",
        "More arguments for ansible-playbook, in one text; a pair of single quotes around it is dropped.",
        read=unquoted,
    ),
]
AnsibleLogEvents: TypeAlias = Annotated[
    str,
    flag("--ansible-log-events", "nothing|tasks|output|everything", "How much of a run is logged.", default="tasks"),
]
Engine: TypeAlias = Annotated[
    EngineName | None,
    flag(
        "--engine",
        "forkserver|subprocess",
        "How a run is started: as a fork of a process that holds Ansible, or as a new process.",
        read=one_of(EngineName),
        default=None,
        shown="forkserver where it can be used, else subprocess",
    ),
]
AnsiblePlaybook: TypeAlias = Annotated[
    Path | None,
    flag(
        "--ansible-playbook",
        "FILE",
        "The ansible-playbook that runs use, of another environment: its ansible-core, collections' libraries and "
        "Python count, and it needs none of the operator's packages.",
        read=path_or_none,
        default="",
        shown="that of the operator's own environment",
        env=ENV_ANSIBLE_PLAYBOOK,
    ),
]
ConfineRuns: TypeAlias = Annotated[
    str,
    flag(
        "--confine-runs",
        "BOOLEAN",
        "Keep runs from the operator's credentials and from processes that are not theirs. They cannot gain rights by "
        "sudo then, or mount anything.",
        default="true",
    ),
]
RunnerDirectory: TypeAlias = Annotated[
    Path | None,
    flag(
        "--runner-dir",
        "DIRECTORY",
        "Directory of the inputs and artifacts of runs, which hold secrets.",
        read=Path,
        default=None,
        shown="a memory-backed directory where there is one",
    ),
]
ProxyPort: TypeAlias = Annotated[
    int,
    flag(
        "--proxy-port",
        "PORT",
        "Port on the loopback interface through which runs reach the API server; 0: any free one.",
        read=whole_number(0, MAX_PORT),
        default="0",
    ),
]
HealthProbeBindAddress: TypeAlias = Annotated[
    BindAddress | None,
    flag(
        "--health-probe-bind-address",
        "[HOST]:PORT",
        "Address of /healthz and /readyz; 0: none; port 0: any free one.",
        read=bind_address,
        default=":6789",
    ),
]
UserMetricsBindAddress: TypeAlias = Annotated[
    BindAddress | None,
    flag(
        "--user-metrics-bind-address",
        "[HOST]:PORT",
        "Address to which roles send metrics (osdk_metric); 0: none; port 0: any free one.",
        read=bind_address,
        default="127.0.0.1:5050",
    ),
]
InjectOwnerRef: TypeAlias = Annotated[
    str,
    flag(
        "--inject-owner-ref",
        "BOOLEAN",
        "Make what a run creates a dependent of the reconciled object: it is deleted with its owner, and its changes "
        "reconcile the owner.",
        default="true",
    ),
]
ZapEncoder: TypeAlias = Annotated[
    LogFormat | None,
    flag(
        "--zap-encoder",
        "json|console",
        "Format of the log lines.",
        read=one_of(LogFormat),
        default=None,
        shown="console on a terminal, else json",
    ),
]
ZapLogLevel: TypeAlias = Annotated[
    LogLevel | None,
    flag(
        "--zap-log-level",
        "debug|info|error|panic|NUMBER",
        "The least severe lines to write; a number above 0 means debug.",
        read=log_level,
        default=None,
        shown="info, debug with --zap-devel",
    ),
]
ZapDevel: TypeAlias = Annotated[
    str, flag("--zap-devel", "BOOLEAN", "Log for developers: format console, level debug.", default="false")
]


Crds: TypeAlias = Annotated[
    Path | None,
    flag(
        "--crds",
        "DIRECTORY",
        "Directory of CRDs, which say how kinds are served and which fields they have.",
        read=Path,
        default=None,
        shown="crds and config/crd/bases, where those are",
    ),
]

# Of `rbac`. They are not in `rbaccommand`, which imports the API client.

RbacRoleName: TypeAlias = Annotated[
    str,
    flag(
        "--name", "NAME", "Name of the role.", shown="manager-role, or leader-election-role with --leader-election-id"
    ),
]
RbacNamespaces: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--namespace",
        metavar="NAMESPACE",
        help="Print a Role for this namespace in place of a ClusterRole; may be given more than once.",
    ),
]
RbacKubeconfig: TypeAlias = Annotated[
    Path | None,
    flag(
        "--kubeconfig",
        "FILE",
        "Ask this cluster how kinds are served.",
        read=Path,
        default=None,
        shown="none is asked",
    ),
]
RbacLeaderElectionId: TypeAlias = Annotated[
    str, flag("--leader-election-id", "NAME", "Print only the rights for the Lease of this name.")
]

RbacFromRuns: TypeAlias = Annotated[
    Path | None,
    flag(
        "--from-runs",
        "FILE",
        "Metrics of the operator, - for standard input: print what its runs have used, and how that differs from what "
        "files tell.",
        read=Path,
        default=None,
        shown="none: what files tell",
    ),
]

BOOLEAN_FLAGS = frozenset(
    {"--confine-runs", "--inject-owner-ref", "--zap-devel"}
    | electionflags.BOOLEANS
    | metricsflags.BOOLEANS
    | upstreamflags.BOOLEANS
)
"""Flags that mean ``true`` where no value follows with ``=``, as Go's flags do."""

_log = logs.get_logger(__name__)


def spell_out_booleans(arguments: list[str]) -> list[str]:
    """Return the arguments with ``=true`` after each boolean flag that stands alone."""
    return [f"{argument}=true" if argument in BOOLEAN_FLAGS else argument for argument in arguments]


def retry_delays(base: float, cap: float) -> RetryDelays:
    """Check the two durations, which must be above zero and in order."""
    if base <= 0:
        message = "found 0s, expected a duration above zero, such as 1s"
        raise typer.BadParameter(message, param_hint="--failure-backoff-base")
    if cap < base:
        message = f"found {cap:g}s, expected {base:g}s (--failure-backoff-base) or longer"
        raise typer.BadParameter(message, param_hint="--failure-backoff-cap")
    return RetryDelays(base, cap)


def log_events(text: str) -> LogEvents:
    """Read the amount in any case.

    A word that is none of them is logged as an error and means tasks, as upstream.
    """
    try:
        return LogEvents(text.lower())
    except ValueError:
        message = f"found {text!r}, expected nothing, tasks, output or everything; tasks is used"
        _log.error("invalid flag value", flag="--ansible-log-events", error=message)
        return LogEvents.TASKS


def inject_owner_ref(text: str) -> bool:
    """Read whether runs make dependents; warn where they do not, as upstream does."""
    injects = boolean("--inject-owner-ref", text)
    if not injects:
        _log.warning("owner references are not injected and dependents not watched", flag="--inject-owner-ref=false")
    return injects
