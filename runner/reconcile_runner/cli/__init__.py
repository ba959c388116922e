"""The command line: ``reconcile-runner run|validate|rbac|version``.

Reads flags and environment into ``Options`` and the watches file into watches, then hands both to ``manager``. Exit
codes live only here: 0; 1 where a start is impossible or the run ended badly; 2 for a command line that cannot be
read. A user's mistake is one line, never a traceback. Reference: docs/reference/cli.md.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, cast

import typer

from reconcile_runner import logs
from reconcile_runner.bounds import Bounds
from reconcile_runner.cli import electionflags, flags, metricsflags, upstreamflags, values
from reconcile_runner.cli.envvars import kind_settings, log_events, namespaces
from reconcile_runner.cli.usage import Commands
from reconcile_runner.cli.version import commit, version_line
from reconcile_runner.compat import ENV_GATHERING
from reconcile_runner.errors import ConfigError, RunnerError
from reconcile_runner.options import LogFormat, LogLevel, Options
from reconcile_runner.watches.loader import FindingSeverity, Lookup, WatchesFileError, load_watches
from reconcile_runner.watches.watch import Watch

if TYPE_CHECKING:
    from reconcile_runner.inspection.files import FileInspector

Serve: TypeAlias = Callable[[Options, tuple[Watch, ...]], int]
"""Serves watches until it is told to stop; returns the exit code."""

Inspect: TypeAlias = Callable[[Mapping[str, str], str], AbstractContextManager["FileInspector"]]
"""Starts what looks at files as Ansible does, in the environment of a run, by an interpreter that has Ansible."""


@dataclass(frozen=True, slots=True)
class Programs:
    """What the commands start."""

    serve: Serve
    inspect: Inspect


app = typer.Typer(
    cls=Commands,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Reconcile Kubernetes objects by running Ansible roles.",
)
_log = logs.get_logger(__name__)


def main(arguments: Sequence[str] | None = None, serve: Serve | None = None) -> None:
    """Run the command that the arguments ask for, and exit.

    ``arguments`` lack the program's name; None: those of the process. ``serve`` does what ``run`` does; None: as
    options and watches say.
    """
    given = sys.argv[1:] if arguments is None else arguments
    app(
        args=flags.spell_out_booleans(list(given)),
        prog_name=_program(sys.argv[0]),
        obj=Programs(serve or _serve, _inspect),
    )


def _program(path: str) -> str:
    """Return the entry point's name, else ``python -m reconcile_runner``."""
    name = Path(path).name
    return name if name in {"reconcile-runner", "ansible-operator"} else "python -m reconcile_runner"


@app.command(context_settings=upstreamflags.SETTINGS, epilog=upstreamflags.HELP)
def run(
    context: typer.Context,
    *,
    watches_file: flags.WatchesFile,
    kubeconfig: flags.Kubeconfig,
    reconcile_period: flags.ReconcilePeriod,
    max_concurrent_reconciles: flags.MaxConcurrentReconciles,
    max_concurrent_runs: flags.MaxConcurrentRuns,
    failure_backoff_base: flags.FailureBackoffBase,
    failure_backoff_cap: flags.FailureBackoffCap,
    max_artifacts_size: flags.MaxArtifactsSize,
    max_annotation_verbosity: flags.MaxAnnotationVerbosity,
    max_annotation_artifacts: flags.MaxAnnotationArtifacts,
    min_annotation_reconcile_period: flags.MinAnnotationPeriod,
    max_metric_series: flags.MaxMetricSeries,
    run_timeout: flags.RunTimeout,
    graceful_shutdown_timeout: flags.GracefulShutdownTimeout,
    ansible_verbosity: flags.Verbosity,
    ansible_roles_path: flags.RolesPath,
    ansible_collections_path: flags.CollectionsPath,
    ansible_args: flags.AnsibleArgs,
    ansible_log_events: flags.AnsibleLogEvents,
    inject_owner_ref: flags.InjectOwnerRef,
    engine: flags.Engine,
    ansible_playbook: flags.AnsiblePlaybook,
    confine_runs: flags.ConfineRuns,
    runner_dir: flags.RunnerDirectory,
    proxy_port: flags.ProxyPort,
    leader_elect: electionflags.LeaderElect,
    enable_leader_election: electionflags.EnableLeaderElection,
    leader_election_id: electionflags.LeaderElectionId,
    leader_election_namespace: electionflags.LeaderElectionNamespace,
    leader_elect_lease_duration: electionflags.LeaseDuration,
    leader_elect_renew_deadline: electionflags.RenewDeadline,
    metrics_bind_address: metricsflags.MetricsBindAddress,
    metrics_addr: metricsflags.MetricsAddr,
    metrics_secure: metricsflags.MetricsSecure,
    metrics_require_rbac: metricsflags.MetricsRequireRbac,
    metrics_cert_path: metricsflags.MetricsCertPath,
    metrics_cert_name: metricsflags.MetricsCertName,
    metrics_cert_key: metricsflags.MetricsCertKey,
    health_probe_bind_address: flags.HealthProbeBindAddress,
    user_metrics_bind_address: flags.UserMetricsBindAddress,
    zap_encoder: flags.ZapEncoder,
    zap_log_level: flags.ZapLogLevel,
    zap_devel: flags.ZapDevel,
) -> None:
    """Reconcile until SIGTERM or Ctrl-C."""
    log_format, log_level = _set_up_logs(zap_encoder, zap_log_level, zap_devel)
    with _errors_in_one_line():
        upstreamflags.check(context)
        options = Options(
            watches_file=watches_file,
            kubeconfig=kubeconfig,
            reconcile_period=reconcile_period,
            max_concurrent_reconciles=max_concurrent_reconciles,
            max_concurrent_runs=max_concurrent_runs or None,
            retry_delays=flags.retry_delays(failure_backoff_base, failure_backoff_cap),
            artifacts_limit=max_artifacts_size,
            bounds=Bounds(
                max_annotation_verbosity, max_annotation_artifacts, min_annotation_reconcile_period, max_metric_series
            ),
            run_timeout=run_timeout,
            graceful_shutdown_timeout=graceful_shutdown_timeout,
            ansible_verbosity=ansible_verbosity,
            ansible_roles_path=ansible_roles_path,
            ansible_collections_path=ansible_collections_path,
            ansible_args=ansible_args,
            ansible_log_events=flags.log_events(ansible_log_events),
            inject_owner_ref=flags.inject_owner_ref(inject_owner_ref),
            engine=engine,
            ansible_playbook=ansible_playbook,
            confine_runs=values.boolean("--confine-runs", confine_runs),
            runner_dir=runner_dir,
            proxy_port=proxy_port,
            election=electionflags.election(
                leader_elect,
                enable_leader_election,
                electionflags.lease_name(leader_election_id, os.environ),
                leader_election_namespace,
                electionflags.Timing(leader_elect_lease_duration, leader_elect_renew_deadline),
            ),
            metrics_bind_address=metricsflags.metrics_bind_address(metrics_bind_address, metrics_addr),
            secure_metrics=metricsflags.secure_serving(
                metrics_secure,
                metrics_require_rbac,
                metricsflags.CertificateFiles(metrics_cert_path, metrics_cert_name, metrics_cert_key),
            ),
            health_probe_bind_address=health_probe_bind_address,
            user_metrics_bind_address=user_metrics_bind_address,
            log_format=log_format,
            log_level=log_level,
        )
        exit_code = _start(options, cast("Programs", context.obj).serve)
    raise typer.Exit(exit_code)


@app.command()
def validate(
    context: typer.Context,
    *,
    watches_file: flags.WatchesFile,
    crds: flags.Crds,
    ansible_roles_path: flags.RolesPath,
    ansible_collections_path: flags.CollectionsPath,
    ansible_playbook: flags.AnsiblePlaybook,
) -> None:
    """Check the watches file, and what it runs, and print every error and warning."""
    # Here and not above: ``run`` needs none of it.
    from reconcile_runner.cli.validatecommand import ValidateSettings, findings_of  # noqa: PLC0415

    settings = ValidateSettings(watches_file, ansible_roles_path, ansible_collections_path, crds, ansible_playbook)
    with _errors_on_standard_error():
        findings = findings_of(settings, cast("Programs", context.obj).inspect)
    for finding in findings:
        typer.echo(f"{finding.severity}: {finding}")
    errors = sum(finding.severity is FindingSeverity.ERROR for finding in findings)
    typer.echo(f"{_count(errors, 'error')}, {_count(len(findings) - errors, 'warning')}")
    raise typer.Exit(1 if errors else 0)


@app.command()
def rbac(
    *,
    watches_file: flags.WatchesFile,
    name: flags.RbacRoleName,
    namespace: flags.RbacNamespaces = None,
    crds: flags.Crds,
    kubeconfig: flags.RbacKubeconfig,
    leader_election_id: flags.RbacLeaderElectionId,
    from_runs: flags.RbacFromRuns,
    ansible_roles_path: flags.RolesPath,
    ansible_collections_path: flags.CollectionsPath,
) -> None:
    """Print the least rights that the watches need, as a role to ship.

    What cannot be known goes to standard error.
    """
    # Here and not above, as for ``run``.
    from reconcile_runner.cli.rbaccommand import RbacSettings, manifest  # noqa: PLC0415

    lookup = Lookup(ansible_roles_path, ansible_collections_path, Path.cwd())
    names = namespace or ()
    settings = RbacSettings(watches_file, lookup, name, names, crds, kubeconfig, leader_election_id, from_runs)
    with _errors_on_standard_error():
        made = manifest(settings)
    for warning in made.warnings:
        typer.echo(f"warning: {warning}", err=True)
    typer.echo(made.text, nl=False)


@app.command()
def version() -> None:
    """Print the versions of this operator and of what it runs with."""
    typer.echo(version_line())


def _start(options: Options, serve: Serve) -> int:
    lookup = Lookup(options.ansible_roles_path, options.ansible_collections_path, Path.cwd())
    watches = load_watches(options.watches_file, lookup)
    kinds = kind_settings(os.environ, watches)
    for problem in kinds.warnings:
        _log.warning("environment", warning=problem)
    complete = replace(
        options,
        namespaces=namespaces(os.environ),
        workers_by_kind=kinds.workers,
        verbosity_by_kind=kinds.verbosity,
        ansible_log_events=log_events(os.environ, options.ansible_log_events),
        gather_facts=os.environ.get(ENV_GATHERING) != "explicit",
        commit=commit(),
    )
    return serve(complete, watches)


def _serve(options: Options, watches: tuple[Watch, ...]) -> int:
    # Here and not above: validate and version need none of all that it imports.
    from reconcile_runner.execution.processes import forbid_inspection  # noqa: PLC0415
    from reconcile_runner.manager.run import run  # noqa: PLC0415

    forbid_inspection()
    return asyncio.run(run(options, watches))


def _inspect(environ: Mapping[str, str], interpreter: str) -> AbstractContextManager[FileInspector]:
    from reconcile_runner.inspection.inspector import Inspector  # noqa: PLC0415

    return Inspector.started(environ, interpreter)


@contextmanager
def _errors_on_standard_error() -> Iterator[None]:
    """Print what makes going on impossible, a line for each, and exit with 1."""
    try:
        yield
    except RunnerError as error:
        for line in str(error).splitlines():
            typer.echo(f"error: {line}", err=True)
        raise typer.Exit(1) from error


@contextmanager
def _errors_in_one_line() -> Iterator[None]:
    """Log what makes going on impossible, without a traceback, and exit with 1."""
    try:
        yield
    except WatchesFileError as error:
        for finding in error.findings:
            if finding.severity is FindingSeverity.ERROR:
                _log.error("invalid watches file", error=str(finding))
            else:
                _log.warning("watches file", warning=str(finding))
        raise typer.Exit(1) from error
    except ConfigError as error:
        _log.error("cannot start", error=str(error))
        raise typer.Exit(1) from error
    except RunnerError as error:
        _log.error("stopped by an error", error=str(error))
        raise typer.Exit(1) from error


def _set_up_logs(encoder: LogFormat | None, level: LogLevel | None, devel_text: str) -> tuple[LogFormat, LogLevel]:
    devel = values.boolean("--zap-devel", devel_text)
    for_people = LogFormat.CONSOLE if devel or sys.stderr.isatty() else LogFormat.JSON
    log_format = encoder or for_people
    log_level = level or (LogLevel.DEBUG if devel else LogLevel.INFO)
    logs.set_up(log_format, log_level)
    return log_format, log_level


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
