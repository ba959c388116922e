from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from reconcile_runner import __version__
from reconcile_runner.apimachinery.objects import GroupVersionKind
from reconcile_runner.backoff import RetryDelays
from reconcile_runner.bounds import Bounds
from reconcile_runner.cli import Programs, app, flags
from reconcile_runner.cli.envvars import kind_settings, namespaces
from reconcile_runner.cli.version import commit
from reconcile_runner.errors import ApiUnreachableError, ConfigError, RunnerError
from reconcile_runner.execution.installation import own_installation
from reconcile_runner.options import (
    BindAddress,
    EngineName,
    LogEvents,
    LogFormat,
    LogLevel,
    Options,
    SecureServing,
    usable_cpus,
)
from reconcile_runner.watches.watch import Watch
from tests.support.fakes.inspector import FakeInspector
from tests.support.fakes.logs import logging_restored
from tests.support.paths import REPOSITORY
from tests.support.programs import SHELL, another_playbook

TESTDATA = REPOSITORY / "tests" / "testdata" / "watches"
PROJECT = TESTDATA / "project"
FOO = GroupVersionKind("example.com", "v1", "Foo")
POD = GroupVersionKind("", "v1", "Pod")


@pytest.fixture(autouse=True)
def clean_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("WATCH_NAMESPACE", "ANSIBLE_ROLES_PATH", "ANSIBLE_COLLECTIONS_PATH", "ANSIBLE_GATHERING"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RUNNER_COMMIT", "abc")
    monkeypatch.chdir(PROJECT)
    with logging_restored():
        yield


class Served:
    """Implements ``reconcile_runner.cli.Serve``: keeps what it was given."""

    def __init__(self, exit_code: int = 0, error: RunnerError | None = None) -> None:
        self.exit_code = exit_code
        self.error = error
        self.options: Options | None = None
        self.watches: tuple[Watch, ...] = ()

    def __call__(self, options: Options, watches: tuple[Watch, ...]) -> int:
        self.options, self.watches = options, watches
        if self.error is not None:
            raise self.error
        return self.exit_code


def invoke(*arguments: str, serve: Served | None = None, **environ: str) -> Result:
    spelt = flags.spell_out_booleans(list(arguments))
    programs = Programs(serve or Served(), FakeInspector().started)
    return CliRunner().invoke(app, spelt, obj=programs, env=environ)


def run(*arguments: str, serve: Served | None = None, **environ: str) -> Result:
    return invoke("run", "--watches-file", str(TESTDATA / "valid_minimal.yaml"), *arguments, serve=serve, **environ)


def options_of(*arguments: str, **environ: str) -> Options:
    serve = Served()
    result = run(*arguments, serve=serve, **environ)
    assert result.exit_code == 0, result.output
    assert serve.options is not None
    return serve.options


def log_lines(result: Result) -> list[dict[str, str]]:
    return [json.loads(line) for line in result.stderr.splitlines()]


DEFAULTS = Options(watches_file=TESTDATA / "valid_minimal.yaml", commit="abc")


def test_without_flags_and_environment_the_options_are_the_documented_defaults() -> None:
    assert options_of() == DEFAULTS
    assert DEFAULTS.max_concurrent_reconciles == usable_cpus()


FLAGS = [
    ("--kubeconfig", "/k", {"kubeconfig": Path("/k")}),
    ("--reconcile-period", "90s", {"reconcile_period": 90.0}),
    ("--reconcile-period", "0", {"reconcile_period": 0.0}),
    ("--max-concurrent-reconciles", "9", {"max_concurrent_reconciles": 9}),
    ("--max-concurrent-runs", "3", {"max_concurrent_runs": 3}),
    ("--max-concurrent-runs", "0", {}),
    ("--failure-backoff-base", "1s", {"retry_delays": RetryDelays(1.0, 1000.0)}),
    ("--failure-backoff-cap", "2m", {"retry_delays": RetryDelays(0.005, 120.0)}),
    ("--max-annotation-verbosity", "7", {"bounds": Bounds(verbosity=7)}),
    ("--max-annotation-artifacts", "3", {"bounds": Bounds(artifacts=3)}),
    ("--min-annotation-reconcile-period", "1m", {"bounds": Bounds(reconcile_period=60.0)}),
    ("--max-metric-series", "5", {"bounds": Bounds(metric_series=5)}),
    ("--max-artifacts-size", "1Gi", {"artifacts_limit": 2**30}),
    ("--max-artifacts-size", "0", {"artifacts_limit": 0}),
    ("--max-artifacts-size", "unlimited", {"artifacts_limit": None}),
    ("--run-timeout", "5m", {"run_timeout": 300.0}),
    ("--graceful-shutdown-timeout", "1m", {"graceful_shutdown_timeout": 60.0}),
    ("--ansible-verbosity", "0", {"ansible_verbosity": 0}),
    ("--ansible-roles-path", "/a:/b", {"ansible_roles_path": "/a:/b"}),
    ("--ansible-collections-path", "/a", {"ansible_collections_path": "/a"}),
    ("--ansible-args", "--tags a", {"ansible_args": "--tags a"}),
    ("--ansible-args", "'--tags a'", {"ansible_args": "--tags a"}),
    ("--ansible-args", "''--tags a''", {"ansible_args": "'--tags a'"}),
    ("--ansible-args", "'", {"ansible_args": "'"}),
    ("--ansible-log-events", "Everything", {"ansible_log_events": LogEvents.EVERYTHING}),
    ("--ansible-log-events", "NOTHING", {"ansible_log_events": LogEvents.NOTHING}),
    ("--ansible-log-events", "output", {"ansible_log_events": LogEvents.OUTPUT}),
    ("--confine-runs", "false", {"confine_runs": False}),
    ("--engine", "subprocess", {"engine": EngineName.SUBPROCESS}),
    ("--ansible-playbook", "/opt/a/bin/ansible-playbook", {"ansible_playbook": Path("/opt/a/bin/ansible-playbook")}),
    ("--ansible-playbook", "", {}),
    ("--runner-dir", "/r", {"runner_dir": Path("/r")}),
    ("--proxy-port", "8888", {"proxy_port": 8888}),
    ("--metrics-bind-address", "0", {"metrics_bind_address": None}),
    ("--metrics-bind-address", "127.0.0.1:0", {"metrics_bind_address": BindAddress("127.0.0.1", 0)}),
    ("--metrics-addr", ":1", {"metrics_bind_address": BindAddress("", 1)}),
    ("--metrics-secure", "true", {"secure_metrics": SecureServing()}),
    ("--metrics-require-rbac", "false", {}),
    ("--metrics-cert-name", "a.pem", {}),
    ("--metrics-cert-key", "b.pem", {}),
    ("--health-probe-bind-address", "[::1]:80", {"health_probe_bind_address": BindAddress("::1", 80)}),
    ("--health-probe-bind-address", "localhost:80", {"health_probe_bind_address": BindAddress("localhost", 80)}),
    ("--user-metrics-bind-address", "0", {"user_metrics_bind_address": None}),
    ("--user-metrics-bind-address", ":81", {"user_metrics_bind_address": BindAddress("", 81)}),
    ("--inject-owner-ref", "false", {"inject_owner_ref": False}),
    ("--inject-owner-ref", "t", {}),
    ("--zap-encoder", "console", {"log_format": LogFormat.CONSOLE}),
    ("--zap-log-level", "error", {"log_level": LogLevel.ERROR}),
    ("--zap-log-level", "PANIC", {"log_level": LogLevel.PANIC}),
    ("--zap-log-level", "3", {"log_level": LogLevel.DEBUG}),
    ("--zap-devel", "true", {"log_format": LogFormat.CONSOLE, "log_level": LogLevel.DEBUG}),
    ("--zap-devel", "F", {}),
]


@pytest.mark.parametrize("form", ["separate", "equals"])
@pytest.mark.parametrize(("flag", "text", "changed"), FLAGS, ids=lambda value: str(value)[:40])
def test_a_flag_changes_its_option_in_both_of_gos_spellings(
    form: str, flag: str, text: str, changed: dict[str, object]
) -> None:
    arguments = [f"{flag}={text}"] if form == "equals" else [flag, text]
    if form == "separate" and flag in flags.BOOLEAN_FLAGS:
        arguments = [f"{flag}={text}"]  # Go's boolean flags take no separate value
    options = options_of(*arguments)
    assert {field.name: getattr(options, field.name) for field in fields(Options)} == {
        field.name: getattr(DEFAULTS, field.name) for field in fields(Options)
    } | changed


def test_a_boolean_flag_alone_means_true() -> None:
    assert options_of("--zap-devel").log_level is LogLevel.DEBUG
    assert options_of("--zap-devel", "--zap-log-level=info").log_format is LogFormat.CONSOLE
    assert options_of("--inject-owner-ref").inject_owner_ref


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--nope"], "--nope: unknown flag, --help lists the known ones"),
        (["--no\npe"], "--no pe: unknown flag"),
        (["--reconcile-perod=1h"], "--reconcile-perod: unknown flag, did you mean --reconcile-period?"),
        (["--leader-elect-resource-locks=x"], "did you mean --leader-elect-resource-lock?"),
        (["--reconcile-period=5"], "--reconcile-period: found '5', expected a number with a unit"),
        (["--run-timeout=-1s"], "--run-timeout: found '-1s', expected a duration that is not negative"),
        (
            ["--max-concurrent-reconciles=0"],
            "--max-concurrent-reconciles: found '0', expected a whole number, 1 or more",
        ),
        (["--max-concurrent-runs=1_0"], "--max-concurrent-runs: found '1_0', expected a whole number, 0 or more"),
        (["--failure-backoff-base=0s"], "--failure-backoff-base: found 0s, expected a duration above zero"),
        (
            ["--failure-backoff-base=1m", "--failure-backoff-cap=1s"],
            "--failure-backoff-cap: found 1s, expected 60s (--failure-backoff-base) or longer",
        ),
        (
            ["--max-annotation-verbosity=8"],
            "--max-annotation-verbosity: found '8', expected a whole number from 0 to 7",
        ),
        (["--max-artifacts-size=1MB"], "--max-artifacts-size: found '1MB', expected a size such as 128Mi"),
        (["--ansible-verbosity=8"], "--ansible-verbosity: found '8', expected a whole number from 0 to 7"),
        (["--proxy-port=65536"], "--proxy-port: found '65536', expected a whole number from 0 to 65535"),
        (["--engine=nope"], "--engine: found 'nope', expected forkserver or subprocess"),
        (["--zap-encoder=xml"], "--zap-encoder: found 'xml', expected json or console"),
        (
            ["--zap-log-level=loud"],
            "--zap-log-level: found 'loud', expected debug, info, error, panic or a number above 0",
        ),
        (["--zap-log-level=0"], "--zap-log-level: found '0', expected debug"),
        (["--zap-devel=maybe"], "--zap-devel: found 'maybe', expected true or false"),
        (["--inject-owner-ref=maybe"], "--inject-owner-ref: found 'maybe', expected true or false"),
        *[
            (
                [f"--health-probe-bind-address={text}"],
                f"--health-probe-bind-address: found {text!r}, expected [HOST]:PORT",
            )
            for text in ("6789", "", ":", ":x", ":65536", ":-1", "::1:80", "http://a:80", ":٣")
        ],
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_command_line_that_cannot_be_read_ends_with_2_and_one_line_that_says_what_was_expected(
    arguments: list[str], said: str
) -> None:
    serve = Served()
    result = run(*arguments, serve=serve)
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert said in line
    assert result.stdout == ""
    assert serve.options is None


@pytest.mark.parametrize(
    ("arguments", "environ", "error"),
    [
        (
            ["--metrics-addr=:1", "--metrics-bind-address=:2"],
            {},
            "--metrics-bind-address and --metrics-addr are both set, expected the first alone",
        ),
        ([], {"WATCH_NAMESPACE": "a,B"}, "WATCH_NAMESPACE: found 'B', expected names of namespaces"),
        (
            [f"--watches-file={TESTDATA}/none.yaml"],
            {},
            f"{TESTDATA}/none.yaml: cannot be read: no such file or directory",
        ),
    ],
    ids=["metrics", "namespace", "watches_file"],
)
def test_where_a_start_is_impossible_the_reason_is_logged_in_one_line_and_the_exit_code_is_1(
    arguments: list[str], environ: dict[str, str], error: str
) -> None:
    serve = Served()
    result = run(*arguments, serve=serve, **environ)
    assert result.exit_code == 1
    (line,) = log_lines(result)
    assert (line["level"], line["error"][: len(error)]) == ("error", error)
    assert "stacktrace" not in line
    assert serve.options is None


def test_every_error_of_the_watches_file_is_a_log_line() -> None:
    result = invoke("run", "--watches-file", str(TESTDATA / "invalid_several.yaml"))
    assert result.exit_code == 1
    assert [(line["level"], line["msg"]) for line in log_lines(result)] == [
        ("error", "invalid watches file"),
        ("error", "invalid watches file"),
        ("error", "invalid watches file"),
        ("error", "invalid watches file"),
        ("warn", "watches file"),
        ("error", "invalid watches file"),
    ]


def test_warnings_of_the_watches_file_are_logged_and_the_operator_starts() -> None:
    serve = Served()
    result = invoke("run", "--watches-file", str(TESTDATA / "valid_warnings.yaml"), serve=serve)
    assert result.exit_code == 0
    assert [watch.gvk for watch in serve.watches] == [POD]
    lines = log_lines(result)
    assert len(lines) == 11
    assert {line["level"] for line in lines} == {"warn"}


@pytest.mark.parametrize(
    ("error", "msg"),
    [
        (ConfigError("kubeconfig /k: no such context"), "cannot start"),
        (ApiUnreachableError("no answer from https://127.0.0.1:1"), "stopped by an error"),
    ],
)
def test_an_error_of_the_manager_is_one_line_and_exit_code_1(error: RunnerError, msg: str) -> None:
    result = run(serve=Served(error=error))
    assert result.exit_code == 1
    (line,) = log_lines(result)
    assert (line["msg"], line["error"]) == (msg, str(error))


def test_the_exit_code_is_the_managers() -> None:
    assert run(serve=Served(exit_code=3)).exit_code == 3


def test_an_unknown_amount_of_log_events_is_logged_as_an_error_and_means_tasks() -> None:
    serve = Served()
    result = run("--ansible-log-events=some", serve=serve)
    assert result.exit_code == 0
    assert serve.options == DEFAULTS
    (line,) = log_lines(result)
    assert line["level"] == "error"
    assert line["error"] == "found 'some', expected nothing, tasks, output or everything; tasks is used"


@pytest.mark.parametrize(
    ("environ", "asked_for", "expected"),
    [
        ({}, "tasks", LogEvents.TASKS),
        ({"ANSIBLE_DEBUG_LOGS": "True"}, "tasks", LogEvents.OUTPUT),
        ({"ANSIBLE_DEBUG_LOGS": "1"}, "nothing", LogEvents.OUTPUT),
        ({"ANSIBLE_DEBUG_LOGS": "true"}, "everything", LogEvents.EVERYTHING),
        ({"ANSIBLE_DEBUG_LOGS": "false"}, "tasks", LogEvents.TASKS),
        ({"ANSIBLE_VERBOSITY": "1"}, "tasks", LogEvents.OUTPUT),
        ({"ANSIBLE_VERBOSITY": "1"}, "nothing", LogEvents.NOTHING),
        ({"ANSIBLE_VERBOSITY": "0"}, "tasks", LogEvents.TASKS),
        ({"ANSIBLE_VERBOSITY": "much"}, "tasks", LogEvents.TASKS),
    ],
)
def test_variables_ask_for_ansibles_output_in_the_log(
    environ: dict[str, str], asked_for: str, expected: LogEvents
) -> None:
    assert options_of(f"--ansible-log-events={asked_for}", **environ).ansible_log_events is expected


def test_the_deprecated_name_of_a_flag_is_warned_of() -> None:
    (line,) = log_lines(run("--metrics-addr=:1"))
    assert (line["level"], line["flag"], line["use"]) == ("warn", "--metrics-addr", "--metrics-bind-address")


def test_the_environment_counts_where_there_is_no_flag() -> None:
    environ = {
        "ANSIBLE_ROLES_PATH": "/env",
        "ANSIBLE_COLLECTIONS_PATH": "/env",
        "RECONCILE_RUNNER_ANSIBLE_PLAYBOOK": "/env/ansible-playbook",
    }
    options = options_of("--ansible-roles-path=/flag", **environ)
    assert (options.ansible_roles_path, options.ansible_collections_path) == ("/flag", "/env")
    assert options.ansible_playbook == Path("/env/ansible-playbook")


@pytest.mark.parametrize(("value", "gathers"), [("explicit", False), ("implicit", True), ("", True)])
def test_facts_are_not_gathered_where_gathering_is_explicit(value: str, gathers: bool) -> None:
    assert options_of(ANSIBLE_GATHERING=value) == replace(DEFAULTS, gather_facts=gathers)


def test_the_settings_of_a_kind_come_from_the_environment() -> None:
    options = options_of(MAX_CONCURRENT_RECONCILES_FOO_EXAMPLE_COM="7", ANSIBLE_VERBOSITY_FOO_EXAMPLE_COM="0")
    assert (options.workers_for(FOO), options.verbosity_for(FOO)) == (7, 0)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ()),
        ("", ()),
        (" , ", ()),
        ("a", ("a",)),
        (" a , b-1,a ", ("a", "b-1")),
    ],
)
def test_watched_namespaces_are_a_list_with_commas_and_nothing_means_all(
    value: str | None, expected: tuple[str, ...]
) -> None:
    assert namespaces({} if value is None else {"WATCH_NAMESPACE": value}) == expected


HYPHEN = GroupVersionKind("my-group.example.com", "v1", "Foo")


@pytest.mark.parametrize(
    ("gvk", "environ", "workers", "verbosity"),
    [
        (FOO, {"MAX_CONCURRENT_RECONCILES_FOO_EXAMPLE_COM": "3"}, 3, None),
        (POD, {"MAX_CONCURRENT_RECONCILES_POD_": "3", "ANSIBLE_VERBOSITY_POD_": "7"}, 3, 7),
        (HYPHEN, {"MAX_CONCURRENT_RECONCILES_FOO_MY-GROUP_EXAMPLE_COM": "3"}, 3, None),
        (FOO, {"ANSIBLE_VERBOSITY_FOO_EXAMPLE_COM": "0"}, None, 0),
        (FOO, {"ANSIBLE_VERBOSITY": "3", "WORKER_CONNECTIONS": "1024"}, None, None),
    ],
    ids=["group", "core", "hyphen", "zero", "others"],
)
def test_a_kinds_variables_end_in_kind_and_group(
    gvk: GroupVersionKind, environ: dict[str, str], workers: int | None, verbosity: int | None
) -> None:
    settings = kind_settings(environ, [Watch(gvk)])
    assert settings.workers == ({} if workers is None else {gvk: workers})
    assert settings.verbosity == ({} if verbosity is None else {gvk: verbosity})
    assert settings.warnings == ()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("MAX_CONCURRENT_RECONCILES_FOO_EXAMPLE_COM", "0", "a whole number from 1 to 10000"),
        ("MAX_CONCURRENT_RECONCILES_FOO_EXAMPLE_COM", "-1", "a whole number from 1 to 10000"),
        ("MAX_CONCURRENT_RECONCILES_FOO_EXAMPLE_COM", "many", "a whole number from 1 to 10000"),
        ("ANSIBLE_VERBOSITY_FOO_EXAMPLE_COM", "8", "a whole number from 0 to 7"),
        ("ANSIBLE_VERBOSITY_FOO_EXAMPLE_COM", "", "a whole number from 0 to 7"),
    ],
)
def test_a_value_that_is_not_usable_is_warned_of_and_ignored(name: str, value: str, expected: str) -> None:
    settings = kind_settings({name: value}, [Watch(FOO)])
    assert (settings.workers, settings.verbosity) == ({}, {})
    assert settings.warnings == (f"{name}: found {value!r}, expected {expected}; it is ignored",)


def test_the_deprecated_variable_counts_where_the_new_one_is_not_set() -> None:
    old, new = "WORKER_FOO_EXAMPLE_COM", "MAX_CONCURRENT_RECONCILES_FOO_EXAMPLE_COM"
    settings = kind_settings({old: "3"}, [Watch(FOO)])
    assert settings.workers == {FOO: 3}
    assert settings.warnings == (f"{old} is deprecated, use {new}",)
    assert kind_settings({old: "3", new: "4"}, [Watch(FOO)]).workers == {FOO: 4}


def test_a_variable_of_no_watched_kind_is_warned_of_with_the_names_that_there_are() -> None:
    settings = kind_settings({"ANSIBLE_VERBOSITY_FO_EXAMPLE_COM": "3"}, [Watch(FOO)])
    (warning,) = settings.warnings
    assert warning == (
        "ANSIBLE_VERBOSITY_FO_EXAMPLE_COM is of no watched kind and is ignored, expected one of "
        "ANSIBLE_VERBOSITY_FOO_EXAMPLE_COM, MAX_CONCURRENT_RECONCILES_FOO_EXAMPLE_COM"
    )


def validate(name: str) -> Result:
    return invoke("validate", "--watches-file", str(TESTDATA / name))


@pytest.mark.parametrize("path", sorted(TESTDATA.glob("invalid_*.yaml")), ids=lambda path: path.stem)
def test_validate_refuses_every_invalid_file_without_a_traceback(path: Path) -> None:
    result = invoke(
        "validate",
        f"--watches-file={path}",
        "--ansible-roles-path=shared",
        "--ansible-collections-path=collections",
    )
    assert result.exit_code == 1
    assert "Traceback" not in result.output
    *findings, summary = result.stdout.splitlines()
    assert findings
    assert all(str(path) in finding for finding in findings)
    assert summary.split(",")[0].split()[1] in {"error", "errors"}


def test_validate_counts_what_it_found() -> None:
    result = validate("valid_minimal.yaml")
    assert (result.exit_code, result.stdout) == (0, "0 errors, 0 warnings\n")


def test_validate_takes_an_unknown_key_for_an_error_and_still_prints_warnings() -> None:
    result = validate("valid_warnings.yaml")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[-1] == "6 errors, 5 warnings"
    assert any(line.startswith("warning: ") and "manageStatus" in line for line in lines)
    assert any(line.startswith("error: ") and "did you mean reconcilePeriod?" in line for line in lines)


@pytest.mark.parametrize(("core", "warned"), [("2.18.19", "0 errors, 0 warnings"), ("2.19.14", "0 errors, 4 warnings")])
def test_validate_warns_of_tasks_that_the_installed_core_refuses(
    core: str, warned: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = replace(own_installation(), core=core)
    monkeypatch.setattr("reconcile_runner.cli.validatecommand.installation_of", lambda _: found)
    monkeypatch.chdir(REPOSITORY / "tests" / "testdata" / "operators-of-2.18" / "memcached-operator")
    result = invoke("validate")
    assert result.exit_code == 0
    *findings, summary = result.stdout.splitlines()
    assert summary == warned
    assert all(line.startswith("warning: roles/memcached/tasks/main.yml:") for line in findings)


@pytest.mark.parametrize("core", ["2.18.19", "2.19.14"])
def test_validate_asks_the_ansible_of_another_environment(
    core: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(REPOSITORY / "tests" / "testdata" / "operators-of-2.18" / "memcached-operator")
    inspector = FakeInspector()
    playbook = another_playbook(tmp_path, core)
    programs = Programs(Served(), inspector.started)
    result = CliRunner().invoke(app, ["validate", f"--ansible-playbook={playbook}"], obj=programs)
    assert (result.exit_code, "0 warnings" in result.stdout) == (0, core.startswith("2.18."))
    assert inspector.interpreter == "/opt/ansible/bin/python3"


def test_validate_says_what_is_wrong_with_the_ansible_of_another_environment(tmp_path: Path) -> None:
    playbook = another_playbook(tmp_path, "2.15.1")
    result = invoke(
        "validate", "--watches-file", str(TESTDATA / "valid_minimal.yaml"), f"--ansible-playbook={playbook}"
    )
    assert result.exit_code == 1
    message = f"error: --ansible-playbook: {playbook}: found ansible-core 2.15.1, expected 2.16 to 2.21\n"
    assert result.stderr == message


def test_version_says_what_takes_part_in_a_run() -> None:
    result = invoke("version")
    assert result.exit_code == 0
    assert result.stdout.startswith(f'runner version: "{__version__}", commit: "abc", kubernetes client version: "')
    for part in ("ansible-core version", "ansible-runner version", "python version", "platform"):
        assert f', {part}: "' in result.stdout
    assert "not installed" not in result.stdout


def test_the_commit_is_gits_where_the_image_does_not_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUNNER_COMMIT")
    module = importlib.import_module("reconcile_runner.cli.version")  # the package has a command of this name
    monkeypatch.setattr(module, "_checkout", lambda: "/clone")
    assert commit() == "unknown", "git is not installed"
    (tmp_path / "git").write_text(f'#!{SHELL}\n[ "$*" = "-C /clone rev-parse HEAD" ] && echo 1f2e\n')
    (tmp_path / "git").chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit() == "1f2e"
    monkeypatch.setattr(module, "_checkout", lambda: None)
    assert commit() == "unknown", "not installed from a checkout"


def flag_helps() -> dict[str, str]:
    """Return the help of every flag of ``run``, in one line each."""
    text = CliRunner().invoke(app, ["run", "--help"]).stdout
    entries = [" ".join(entry.split()) for entry in re.split(r"\n  (?=--)", text)[1:]]
    return {entry.split()[0]: entry.partition(" ")[2] for entry in entries if not entry.startswith("--help")}


def test_every_flag_has_a_help_text_and_all_but_those_that_are_off_name_their_default() -> None:
    helps = flag_helps()
    assert len(helps) == 43
    assert {flag for flag, text in helps.items() if "default: " not in text} == {
        "--ansible-roles-path",
        "--ansible-args",
        "--enable-leader-election",
        "--leader-election-id",
        "--metrics-addr",
    }
    assert [flag for flag, text in helps.items() if not re.search(r"[A-Z].{15,}\.", text)] == []


def test_every_flag_is_in_the_documentation() -> None:
    text = (REPOSITORY / "docs" / "reference" / "cli.md").read_text()
    assert [flag for flag in flag_helps() if f"| `{flag}` |" not in text] == []


def started(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "reconcile_runner", *arguments],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nope"], "error: command: found 'nope', expected run, validate, rbac or version\n"),
        (["--nope"], "error: --nope: unknown flag, --help lists the known ones\n"),
        (["validate", "--watches-fil"], "error: --watches-fil: unknown flag, did you mean --watches-file?\n"),
        (["rbac", "--crds"], "error: --crds: found no value, expected one\n"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_the_program_ends_with_2_and_one_line_for_a_command_line_that_cannot_be_read(
    arguments: list[str], complaint: str
) -> None:
    done = started(*arguments)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", complaint)


def test_the_program_without_a_command_prints_its_help_as_an_error() -> None:
    done = started()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Usage: python -m reconcile_runner ")


def test_that_nothing_gets_an_owner_is_a_warning() -> None:
    result = run("--inject-owner-ref=false")
    assert "owner references are not injected and dependents not watched" in result.stderr
    assert "not injected" not in run().stderr
