from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import structlog
from structlog.testing import LogCapture

from reconcile_runner.apimachinery.fieldpath import FieldPath
from reconcile_runner.apimachinery.labels import LabelSelector, Operator, Requirement
from reconcile_runner.apimachinery.objects import GroupVersionKind
from reconcile_runner.cache.event import EventType
from reconcile_runner.errors import ConfigError
from reconcile_runner.watches import loader as loader_module
from reconcile_runner.watches.loader import FindingSeverity, Lookup, WatchesFile, WatchesFileError, load, load_watches
from reconcile_runner.watches.watch import Finalizer, Match, NamespaceScope, Trigger, Watch
from tests.support.paths import REPOSITORY, TESTDATA

WATCHES = TESTDATA / "watches"
PROJECT = WATCHES / "project"
LOOKUP = Lookup(roles_path="shared", collections_path="collections", working_directory=PROJECT)
ENVIRON = {"VERSION": "v1", "GROUP": "example.com", "ROLE": "foo", "QUOTED": "a\nb"}
FOO = GroupVersionKind("example.com", "v1", "Foo")


def load_testdata(name: str) -> WatchesFile:
    return load(WATCHES / name, ENVIRON, LOOKUP)


def load_text(tmp_path: Path, text: str | bytes, environ: dict[str, str] | None = None) -> WatchesFile:
    path = tmp_path / "watches.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return load(path, environ or {}, LOOKUP)


def error_of(tmp_path: Path, text: str | bytes, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(WatchesFileError) as raised:
        load_text(tmp_path, text, environ)
    return str(raised.value).replace(f"{tmp_path}/", "")


def expected_findings(path: Path) -> list[str]:
    """Return what the head of a file in testdata says is to be found."""
    marks = ("# error: ", "# warning: ")
    return [line.removeprefix("# ") for line in path.read_text().splitlines() if line.startswith(marks)]


def said(findings: WatchesFileError | WatchesFile) -> list[str]:
    found = findings.findings if isinstance(findings, WatchesFileError) else findings.warnings
    lines = [f"{finding.severity}: {finding}" for finding in found]
    return [line.replace(str(PROJECT), "<project>").replace(f"{WATCHES}/", "") for line in lines]


@pytest.mark.parametrize("path", sorted(WATCHES.glob("invalid_*.yaml")), ids=lambda path: path.stem)
def test_an_invalid_file_is_refused_with_the_messages_at_its_head(path: Path) -> None:
    with pytest.raises(WatchesFileError) as refused:
        load(path, ENVIRON, LOOKUP)
    assert said(refused.value) == expected_findings(path)


@pytest.mark.parametrize("path", sorted(WATCHES.glob("valid_*.yaml")), ids=lambda path: path.stem)
def test_a_valid_file_is_loaded_with_the_warnings_at_its_head(path: Path) -> None:
    loaded = load(path, ENVIRON, LOOKUP)
    assert loaded.watches
    assert said(loaded) == expected_findings(path)


def test_a_finalizer_without_a_domain_is_an_error_where_asked_for() -> None:
    with pytest.raises(WatchesFileError) as refused:
        load(WATCHES / "valid_unqualified_finalizer.yaml", ENVIRON, LOOKUP, tolerated=FindingSeverity.ERROR)
    [message] = said(refused.value)
    [as_warning] = expected_findings(WATCHES / "valid_unqualified_finalizer.yaml")
    assert message == as_warning.replace("warning: ", "error: ")


def test_an_unknown_key_is_an_error_where_asked_for() -> None:
    with pytest.raises(WatchesFileError) as refused:
        load(WATCHES / "valid_warnings.yaml", ENVIRON, LOOKUP, tolerated=FindingSeverity.ERROR)
    fields = [finding.field for finding in refused.value.findings if finding.severity is FindingSeverity.ERROR]
    assert fields == [
        "maxWorkers",
        "reconcileperiods",
        "triggers[0].match.feild",
        "triggers[1].when",
        "selector.matchLabel",
        "selector.matchExpressions[0].value",
    ]


def test_the_error_is_a_config_error_whose_text_is_one_line_an_error_and_no_warning() -> None:
    with pytest.raises(ConfigError) as refused:
        load_testdata("invalid_several.yaml")
    lines = str(refused.value).splitlines()
    assert len(lines) == 5
    assert all("invalid_several.yaml:" in line for line in lines)
    assert "roel" not in str(refused.value)


def test_a_minimal_entry_has_the_documented_defaults() -> None:
    (watch,) = load_testdata("valid_minimal.yaml").watches
    assert watch == Watch(gvk=FOO, role=PROJECT / "roles" / "foo")
    assert dataclasses.asdict(watch) | {"gvk": None, "role": None, "selector": None} == {
        "gvk": None,
        "playbook": None,
        "role": None,
        "vars": {},
        "reconcile_period": None,
        "max_runner_artifacts": 20,
        "manage_status": True,
        "upstream_status": False,
        "snake_case_parameters": True,
        "mark_unsafe": True,
        "watch_annotations_changes": False,
        "selector": None,
        "finalizer": None,
        "failure_backoff_base": None,
        "failure_backoff_cap": None,
        "watch_dependent_resources": True,
        "watch_cluster_scoped_resources": False,
        "blacklist": frozenset(),
        "triggers": (),
    }


def test_every_field_arrives_in_the_watch() -> None:
    first = load_testdata("valid_upstream.yaml").watches[0]
    selector = LabelSelector(
        (
            Requirement("app.kubernetes.io/managed-by", Operator.IN, frozenset({"me"})),
            Requirement("empty", Operator.IN, frozenset({""})),
            Requirement("tier", Operator.IN, frozenset({"gold", "silver"})),
            Requirement("paused", Operator.DOES_NOT_EXIST),
        )
    )
    trigger = Trigger(
        gvk=GroupVersionKind("", "v1", "Secret"),
        match=Match(FieldPath("metadata.labels['example.com/database']"), FieldPath("metadata.name")),
        events=frozenset(EventType),
        on=tuple(
            FieldPath(path) for path in ("metadata.labels", "metadata.annotations", "spec", "status", "data.password")
        ),
        namespace=NamespaceScope.SAME,
    )
    assert first == Watch(
        gvk=GroupVersionKind("app.example.com", "v1alpha1", "Database"),
        playbook=PROJECT / "playbooks" / "foo.yml",
        vars={
            "state": "present",
            "meta": "{{ ansible_operator_meta.name }}",
            "nested": {"list": [1, 2.5, True, None], "day": "2026-01-31"},
        },
        reconcile_period=90.0,
        max_runner_artifacts=30,
        manage_status=False,
        snake_case_parameters=False,
        mark_unsafe=False,
        watch_annotations_changes=True,
        selector=selector,
        finalizer=Finalizer(
            "app.example.com/cleanup", playbook=PROJECT / "playbooks" / "foo.yml", vars={"state": "absent"}
        ),
        failure_backoff_base=1.0,
        failure_backoff_cap=300.0,
        watch_dependent_resources=False,
        watch_cluster_scoped_resources=True,
        blacklist=frozenset({GroupVersionKind("apps", "v1", "Deployment"), GroupVersionKind("", "v1", "Secret")}),
        triggers=(trigger,),
    )


def test_keys_are_matched_without_regard_to_case_and_two_groups_may_share_a_kind() -> None:
    watches = load_testdata("valid_upstream.yaml").watches
    assert watches[1].gvk == GroupVersionKind("other.example.com", "v1", "Database")
    assert watches[1].role == PROJECT / "roles" / "foo"


def test_a_period_and_a_number_of_artifacts_of_zero_ask_for_the_default_as_upstream() -> None:
    watch = load_testdata("valid_upstream.yaml").watches[1]
    assert (watch.reconcile_period, watch.max_runner_artifacts) == (None, 20)


def test_roles_are_found_in_each_place_of_the_lookup() -> None:
    watches = load_testdata("valid_upstream.yaml").watches
    assert [watch.role for watch in watches[2:]] == [
        PROJECT / "shared" / "one",
        PROJECT / "shared" / "roles" / "two",
        PROJECT / "collections" / "ansible_collections" / "my" / "util" / "roles" / "bar",
    ]


def make_role(directory: Path) -> Path:
    directory.mkdir(parents=True)
    return directory


def test_the_first_place_that_exists_wins(tmp_path: Path) -> None:
    collections, second = tmp_path / "collections", tmp_path / "second"
    lookup = Lookup(f"{tmp_path}/first:{second}", str(collections), tmp_path)
    places = [
        collections / "ansible_collections" / "a" / "b" / "roles" / "c",
        second / "a.b.c",
        second / "roles" / "a.b.c",
        tmp_path / "roles" / "a.b.c",
    ]
    for place in reversed(places):
        make_role(place)
        assert lookup.role("a.b.c") == place


def test_an_absolute_role_is_looked_for_nowhere_else(tmp_path: Path) -> None:
    make_role(tmp_path / "roles" / "foo")
    lookup = Lookup("", "", tmp_path)
    assert lookup.role(str(tmp_path / "roles" / "foo")) == tmp_path / "roles" / "foo"
    with pytest.raises(ValueError, match=r"looked at /nowhere/foo$"):
        lookup.role("/nowhere/foo")


def test_collections_are_looked_for_in_ansibles_own_places_where_no_path_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    role = make_role(tmp_path / ".ansible" / "collections" / "ansible_collections" / "a" / "b" / "roles" / "c")
    assert Lookup("", "", Path("/")).role("a.b.c") == role
    with pytest.raises(ValueError, match="/usr/share/ansible/collections/ansible_collections/a/b/roles/d, "):
        Lookup("", "", Path("/")).role("a.b.d")


def test_playbooks_are_relative_to_the_working_directory_and_not_to_the_file(tmp_path: Path) -> None:
    (watch,) = load_text(tmp_path, "[{version: v1, kind: Foo, group: a.b, playbook: playbooks/foo.yml}]").watches
    assert watch.playbook == PROJECT / "playbooks" / "foo.yml"


def test_of_playbook_and_role_the_playbook_wins_and_the_role_need_not_exist(tmp_path: Path) -> None:
    text = "[{version: v1, kind: Foo, group: a.b, playbook: playbooks/foo.yml, role: nowhere}]"
    loaded = load_text(tmp_path, text)
    assert (loaded.watches[0].role, loaded.watches[0].playbook) == (None, PROJECT / "playbooks" / "foo.yml")
    assert [warning.field for warning in loaded.warnings] == ["role"]


def test_environment_variables_are_expanded_before_the_yaml_is_read() -> None:
    (watch,) = load_testdata("valid_env.yaml").watches
    assert (watch.gvk, watch.role) == (FOO, PROJECT / "roles" / "foo")
    assert watch.vars["literal"] == "${UNDEFINED} and $UNDEFINED and $$ and ${A:-b}"


def test_a_variable_may_hold_yaml_and_lines_are_still_counted_as_written(tmp_path: Path) -> None:
    text = "- version: v1\n  ${REST}\n  kind: [1]\n"
    message = error_of(tmp_path, text, {"REST": "group: a.b\n  role: foo"})
    assert message.startswith("watches.yaml:3: entry 1: kind: found a list")


def test_anchors_and_merge_keys_are_read_as_upstream_reads_them() -> None:
    foo, bar = load_testdata("valid_anchors.yaml").watches
    assert (foo.vars, bar.vars) == ({"a": 1, "b": 2}, {"a": 1, "b": 3})
    assert bar.role == foo.role


@pytest.mark.parametrize("key", ["on", "'on'", "ON"])
def test_the_key_on_is_no_boolean(tmp_path: Path, key: str) -> None:
    text = (
        "[{version: v1, kind: Foo, group: a.b, role: foo, triggers: [{version: v1, kind: Pod, "
        f"match: {{source: metadata.name, field: spec.name}}, {key}: [labels]}}]}}]"
    )
    loaded = load_text(tmp_path, text)
    assert loaded.watches[0].triggers[0].on == (FieldPath("metadata.labels"),)
    assert loaded.warnings == ()


@pytest.mark.parametrize("field", ["reconcilePeriod", "finalizer", "vars", "selector", "triggers", "manageStatus"])
def test_a_field_without_a_value_counts_as_absent(tmp_path: Path, field: str) -> None:
    (watch,) = load_text(tmp_path, f"[{{version: v1, kind: Foo, group: a.b, role: foo, {field}: }}]").watches
    assert watch == Watch(gvk=GroupVersionKind("a.b", "v1", "Foo"), role=PROJECT / "roles" / "foo")


def test_a_finalizer_may_have_a_role_or_only_vars_and_either_delay_may_be_the_flags() -> None:
    _, second, pod, *_ = load_testdata("valid_upstream.yaml").watches
    assert second.finalizer == Finalizer("other.example.com/cleanup", vars={"state": "absent"})
    assert second.upstream_status
    assert pod.finalizer == Finalizer("one", role=PROJECT / "roles" / "foo")
    assert (pod.failure_backoff_base, pod.failure_backoff_cap) == (None, 60.0)


def test_of_a_finalizers_playbook_and_role_the_playbook_wins_with_a_warning(tmp_path: Path) -> None:
    finalizer = "{name: a.b/c, playbook: playbooks/foo.yml, role: nowhere}"
    loaded = load_text(tmp_path, f"[{{version: v1, kind: Foo, group: a.b, role: foo, finalizer: {finalizer}}}]")
    assert loaded.watches[0].finalizer == Finalizer("a.b/c", playbook=PROJECT / "playbooks" / "foo.yml")
    assert [warning.field for warning in loaded.warnings] == ["finalizer.role"]


def test_a_status_style_without_a_managed_status_is_warned_of(tmp_path: Path) -> None:
    text = "[{version: v1, kind: Foo, group: a.b, role: foo, manageStatus: false, upstreamStatus: true}]"
    assert [warning.field for warning in load_text(tmp_path, text).warnings] == ["upstreamStatus"]


@pytest.mark.parametrize("field", ["watchDependentResources", "watchClusterScopedResources"])
def test_a_function_that_is_not_there_yet_may_be_turned_off(tmp_path: Path, field: str) -> None:
    assert load_text(tmp_path, f"[{{version: v1, kind: Foo, group: a.b, role: foo, {field}: false}}]").watches


@pytest.mark.parametrize(
    ("group", "warned"),
    [("''", True), ("apps", True), ("rbac.authorization.k8s.io", True), ("example.com", False), ("k8s.example", False)],
)
def test_managing_the_status_of_a_kind_that_looks_built_in_is_warned_of(
    tmp_path: Path, group: str, warned: bool
) -> None:
    loaded = load_text(tmp_path, f"[{{version: v1, kind: Foo, group: {group}, role: foo}}]")
    assert [warning.field for warning in loaded.warnings] == ["manageStatus"] * warned


def test_a_trigger_may_be_on_the_watchs_own_kind(tmp_path: Path) -> None:
    text = (
        "[{version: v1, kind: Foo, group: a.b, role: foo, triggers: [{version: v1, kind: Foo, group: a.b, "
        "match: {source: metadata.name, field: spec.dependsOn}}]}]"
    )
    loaded = load_text(tmp_path, text)
    assert loaded.watches[0].triggers[0].gvk == loaded.watches[0].gvk
    assert loaded.warnings == ()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "watches.yaml: is empty, expected a list of watches"),
        (b"\xff\xfe\x00", "watches.yaml: found a byte that is not UTF-8 at offset 0, expected text"),
        (b"- a\n- \x00\x01", "watches.yaml:2: found the character '\\x00', expected text; is this YAML?"),
        (b"[" * 2_000, "watches.yaml: is nested too deeply"),
    ],
    ids=["empty", "not_utf8", "binary", "deep"],
)
def test_what_is_no_text_file_with_yaml_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    assert error_of(tmp_path, content).startswith(message)


def test_a_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    assert load_text(tmp_path, b"\xef\xbb\xbf[{version: v1, kind: Foo, group: a.b, role: foo}]").watches


def test_a_missing_file_is_refused_and_the_flag_named(tmp_path: Path) -> None:
    with pytest.raises(WatchesFileError) as refused:
        load(tmp_path / "nowhere.yaml", {}, LOOKUP)
    assert str(refused.value) == (
        f"{tmp_path}/nowhere.yaml: cannot be read: no such file or directory; "
        "expected a watches file (flag --watches-file)"
    )


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WatchesFileError, match="cannot be read: is a directory"):
        load(tmp_path, {}, LOOKUP)


def test_the_projects_own_watches_file_is_valid_and_says_what_the_design_says() -> None:
    lookup = Lookup(roles_path="", collections_path="", working_directory=REPOSITORY)
    loaded = load(REPOSITORY / "watches.yaml", {}, lookup, tolerated=FindingSeverity.ERROR)
    assert loaded.warnings == ()
    assert loaded.watches == (
        Watch(
            gvk=GroupVersionKind("tutorial.my.domain", "v1", "Foo"),
            role=REPOSITORY / "roles" / "foo",
            vars={
                "foo_name": "{{ ansible_operator_meta.name }}",
                "foo_namespace": "{{ ansible_operator_meta.namespace }}",
                "foo_friend": "{{ _tutorial_my_domain_foo_spec.name }}",
            },
            triggers=(
                Trigger(
                    gvk=GroupVersionKind("", "v1", "Pod"),
                    match=Match(FieldPath("metadata.name"), FieldPath("spec.name")),
                    events=frozenset({EventType.CREATED, EventType.DELETED}),
                ),
            ),
        ),
    )


def test_the_watches_of_a_file_are_loaded_by_its_path_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logged = LogCapture()
    monkeypatch.setattr(loader_module, "_log", structlog.wrap_logger(None, processors=[logged]))
    monkeypatch.setenv("ANSIBLE_ROLES_PATH", str(PROJECT / "shared"))
    monkeypatch.setenv("KIND_OF_FOO", "Foo")
    path = tmp_path / "watches.yaml"
    path.write_text("- {group: example.com, version: v1, kind: $KIND_OF_FOO, role: one, unknownKey: 1}\n")
    [watch] = load_watches(path)
    assert watch.gvk == FOO
    assert watch.role == PROJECT / "shared" / "one"
    [line] = logged.entries
    assert "unknownKey" in line["warning"]
