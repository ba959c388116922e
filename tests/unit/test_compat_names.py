"""Every name of ansible-operator's contract that an author can type is read here, and stands in the documentation.

What each of them does is tested with its module; this is the list that nothing may fall out of.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from reconcile_runner import compat
from reconcile_runner.backoff import RetryDelays
from reconcile_runner.cli import app, upstreamflags
from reconcile_runner.options import BindAddress, LogEvents, LogLevel, Options
from reconcile_runner.watches.schema import (
    EntryShape,
    FinalizerShape,
    KindShape,
    RequirementShape,
    SelectorShape,
    field_names,
)
from tests.support.paths import REPOSITORY

# ansible-operator-plugins 1.42: internal/ansible/flags, pflags of controller-runtime's zap.
FLAGS = [
    "--watches-file",
    "--inject-owner-ref",
    "--ansible-verbosity",
    "--ansible-roles-path",
    "--ansible-collections-path",
    "--ansible-args",
    "--reconcile-period",
    "--max-concurrent-reconciles",
    "--metrics-bind-address",
    "--metrics-addr",
    "--metrics-secure",
    "--metrics-require-rbac",
    "--health-probe-bind-address",
    "--leader-elect",
    "--enable-leader-election",
    "--leader-election-id",
    "--leader-election-namespace",
    "--leader-elect-resource-lock",
    "--leader-elect-lease-duration",
    "--leader-elect-renew-deadline",
    "--graceful-shutdown-timeout",
    "--ansible-log-events",
    "--proxy-port",
    "--enable-http2",
    "--zap-devel",
    "--zap-encoder",
    "--zap-log-level",
    "--zap-stacktrace-level",
    "--zap-time-encoding",
]

# internal/ansible/watches: the alias struct, Finalizer, metav1.LabelSelector.
WATCH_FIELDS = [
    "group",
    "version",
    "kind",
    "playbook",
    "role",
    "vars",
    "maxRunnerArtifacts",
    "reconcilePeriod",
    "manageStatus",
    "watchDependentResources",
    "watchClusterScopedResources",
    "snakeCaseParameters",
    "watchAnnotationsChanges",
    "markUnsafe",
    "blacklist",
    "finalizer",
    "selector",
]
FINALIZER_FIELDS = ["name", "playbook", "role", "vars"]

ANNOTATIONS = ["reconcile-period", "max-runner-artifacts", "verbosity"]
OWNER_ANNOTATIONS = ["operator-sdk/primary-resource", "operator-sdk/primary-resource-type"]

ENVIRONMENT = [
    "WATCH_NAMESPACE",
    "MAX_CONCURRENT_RECONCILES_<KIND>_<GROUP>",
    "WORKER_<KIND>_<GROUP>",
    "ANSIBLE_VERBOSITY_<KIND>_<GROUP>",
    "ANSIBLE_GATHERING",
    "ANSIBLE_INVENTORY",
    "VIRTUAL_ENV",
    "ANSIBLE_ROLES_PATH",
    "ANSIBLE_COLLECTIONS_PATH",
    "KUBECONFIG",
    "OPERATOR_NAME",
]
LEFT_OUT = ["RUNNER_HTTP_URL", "RUNNER_HTTP_PATH"]

# internal/ansible/flags: what holds where nothing is said. --proxy-port and --zap-encoder differ on purpose.
DEFAULTS = Options(
    watches_file=Path("watches.yaml"),
    namespaces=(),
    reconcile_period=10 * 3600.0,
    graceful_shutdown_timeout=30.0,
    ansible_verbosity=2,
    ansible_roles_path="",
    ansible_collections_path="",
    ansible_args="",
    ansible_log_events=LogEvents.TASKS,
    gather_facts=True,
    inject_owner_ref=True,
    health_probe_bind_address=BindAddress("", 6789),
    metrics_bind_address=BindAddress("", 8443),
    user_metrics_bind_address=BindAddress("127.0.0.1", 5050),
    log_level=LogLevel.INFO,
    retry_delays=RetryDelays(base=0.005, cap=1000.0),
)

# operator_sdk.util 0.5.0.
MODULE_OPTIONS = {
    "k8s_status": "api_version kind name namespace status conditions replace force replace_lists",
    "k8s_event": (
        "state name namespace merge_type message reason type involvedObject source"
        " reportingComponent reportingInstance appendTimestamp"
    ),
    "osdk_metric": "name description counter gauge histogram summary address",
    "requeue_after": "time",
}


def documented(name: str) -> str:
    return (REPOSITORY / "docs" / name).read_text()


@pytest.mark.parametrize("flag", FLAGS)
def test_every_flag_is_accepted_and_documented(flag: str) -> None:
    own = set(re.findall(r"--[a-z0-9-]+", CliRunner().invoke(app, ["run", "--help"]).stdout))
    assert flag in own | upstreamflags.BOOLEANS | upstreamflags.TEXTS
    assert f"`{flag}`" in documented("reference/cli.md")


@pytest.mark.parametrize("field", WATCH_FIELDS)
def test_every_field_of_a_watch_is_known_and_documented(field: str) -> None:
    assert field in field_names(EntryShape)
    assert f"`{field}`" in documented("reference/watches.md")


def test_every_field_below_is_known() -> None:
    assert field_names(FinalizerShape) == FINALIZER_FIELDS
    assert field_names(KindShape) == ["group", "version", "kind"]
    assert field_names(SelectorShape) == ["matchLabels", "matchExpressions"]
    assert field_names(RequirementShape) == ["key", "operator", "values"]


@pytest.mark.parametrize("annotation", ANNOTATIONS)
def test_every_annotation_is_in_the_contract_and_documented(annotation: str) -> None:
    name = f"ansible.sdk.operatorframework.io/{annotation}"
    assert name in {value for _, value in inspect.getmembers(compat) if isinstance(value, str)}
    assert f"`{name}`" in documented("reference/watches.md")


@pytest.mark.parametrize("variable", ENVIRONMENT)
def test_every_variable_is_documented(variable: str) -> None:
    assert f"`{variable}`" in documented("reference/cli.md")


@pytest.mark.parametrize("variable", LEFT_OUT)
def test_variables_that_are_not_read_are_said_to_be_so(variable: str) -> None:
    assert f"`{variable}`" in documented("migrating.md")


def test_names_of_our_own_are_not_in_upstreams_space() -> None:
    for name in (compat.ANNOTATION_PAUSED, compat.ANNOTATION_RECONCILE_NOW):
        assert not name.startswith(compat.ANNOTATION_PREFIX)
        assert f"`{name}`" in documented("reference/watches.md")


@pytest.mark.parametrize(
    "name", [*FLAGS, *WATCH_FIELDS, *ANNOTATIONS, *ENVIRONMENT, *LEFT_OUT, *MODULE_OPTIONS, *OWNER_ANNOTATIONS]
)
def test_every_name_has_its_place_in_the_table_for_newcomers(name: str) -> None:
    names = re.findall(r"`([^`]+)`", "\n".join(table_rows(documented("migrating.md"))))
    assert [text for text in names if re.match(rf"{re.escape(name)}(?![\w-])", text)]


def table_rows(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("|")]


def test_what_holds_where_nothing_is_said_is_upstreams() -> None:
    assert Options() == DEFAULTS


def test_owner_annotations_are_upstreams() -> None:
    assert [compat.ANNOTATION_PRIMARY_RESOURCE, compat.ANNOTATION_PRIMARY_RESOURCE_TYPE] == OWNER_ANNOTATIONS


@pytest.mark.parametrize("module", MODULE_OPTIONS)
def test_every_option_of_a_module_is_taken(module: str) -> None:
    file = REPOSITORY / "collections/ansible_collections/reconcile_runner/util/plugins/modules" / f"{module}.py"
    documentation = re.search(r'DOCUMENTATION = r"""(.*?)"""', file.read_text(), re.DOTALL)
    assert documentation is not None
    options = yaml.safe_load(documentation[1])["options"]
    taken = {name for option, said in options.items() for name in (option, *said.get("aliases", []))}
    assert set(MODULE_OPTIONS[module].split()) <= taken


@pytest.mark.parametrize("module", MODULE_OPTIONS)
def test_every_module_is_found_under_upstreams_name(module: str) -> None:
    runtime = REPOSITORY / "collections/forwarding/ansible_collections/operator_sdk/util/meta/runtime.yml"
    routing = yaml.safe_load(runtime.read_text())["plugin_routing"]
    assert module in {**routing.get("modules", {}), **routing.get("action", {})}
