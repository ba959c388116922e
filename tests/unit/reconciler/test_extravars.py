from __future__ import annotations

from typing import Any

import orjson
import pytest

from reconcile_runner.apimachinery.objects import GroupVersionKind, KubeObject
from reconcile_runner.reconciler.extravars import (
    MAX_DEPTH,
    ExtraVars,
    ExtraVarsError,
    make_extra_vars,
    object_variable,
)
from reconcile_runner.watches.watch import Watch

GVK = GroupVersionKind("tutorial.my.domain", "v1", "Foo")


def foo(spec: Any = None, **more: Any) -> KubeObject:
    return {
        "apiVersion": "tutorial.my.domain/v1",
        "kind": "Foo",
        "metadata": {"name": "foo-01", "namespace": "default", **more.pop("metadata", {})},
        **({} if spec is None else {"spec": spec}),
        **more,
    }


def made(obj: KubeObject, **watch: Any) -> dict[str, Any]:
    return decoded(make_extra_vars(Watch(GVK, **watch), obj))


def decoded(variables: ExtraVars) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(variables.data)
    return found


def unsafe(text: str) -> dict[str, str]:
    return {"__ansible_unsafe": text}


def test_a_run_is_given_the_spec_the_meta_the_object_and_the_watchs_vars() -> None:
    obj = foo({"podIPs": ["10.0.0.1"], "replicas": 2, "on": True, "nothing": None})
    assert made(obj, mark_unsafe=False, vars={"size": "{{ pod_ips | length }}"}) == {
        "pod_ips": ["10.0.0.1"],
        "replicas": 2,
        "on": True,
        "nothing": None,
        "ansible_operator_meta": {"name": "foo-01", "namespace": "default"},
        "_tutorial_my_domain_foo": obj,
        "_tutorial_my_domain_foo_spec": obj["spec"],
        "size": "{{ pod_ips | length }}",
    }


def test_later_sources_win_over_earlier_ones() -> None:
    obj = foo({"_tutorial_my_domain_foo": "spec", "size": "spec"})
    variables = made(obj, vars={"size": "vars", "ansible_operator_meta": "vars"})
    assert variables["_tutorial_my_domain_foo"]["kind"] == unsafe("Foo")
    assert variables["size"] == "vars"
    assert variables["ansible_operator_meta"] == "vars"


@pytest.mark.parametrize(
    ("gvk", "name"),
    [
        (GroupVersionKind("", "v1", "Pod"), "__pod"),
        (GroupVersionKind("cert-manager.io", "v1", "ClusterIssuer"), "_cert_manager_io_clusterissuer"),
    ],
    ids=str,
)
def test_the_objects_variable_is_named_after_its_kind(gvk: GroupVersionKind, name: str) -> None:
    assert object_variable(gvk) == name


@pytest.mark.parametrize("spec", [None, [], "text"], ids=repr)
def test_an_object_without_a_map_as_spec_has_no_fields(spec: Any) -> None:
    variables = made(foo(spec))
    assert set(variables) == {"ansible_operator_meta", "_tutorial_my_domain_foo", "_tutorial_my_domain_foo_spec"}
    assert variables["_tutorial_my_domain_foo_spec"] == {}


def test_names_stay_as_they_are_when_the_watch_says_so() -> None:
    assert "podIPs" in made(foo({"podIPs": []}), snake_case_parameters=False)


def test_every_string_of_the_object_is_marked_and_nothing_else() -> None:
    obj = foo({"a": {"b": ["x", {"c": "y"}], "n": 1}}, metadata={"labels": {"team": "z"}})
    variables = made(obj, vars={"own": "{{ a }}"})
    marked = {"a": {"b": [unsafe("x"), {"c": unsafe("y")}], "n": 1}}
    assert variables["a"] == marked["a"]
    assert variables["_tutorial_my_domain_foo_spec"] == marked
    assert variables["_tutorial_my_domain_foo"]["metadata"]["labels"] == {"team": unsafe("z")}
    assert variables["ansible_operator_meta"] == {"name": "foo-01", "namespace": "default"}
    assert variables["own"] == "{{ a }}"


def test_a_name_that_could_hold_a_template_is_marked() -> None:
    meta = made(foo(metadata={"name": "{{ 1 }}"}), mark_unsafe=False)["ansible_operator_meta"]
    assert meta == {"name": unsafe("{{ 1 }}"), "namespace": "default"}


@pytest.mark.parametrize("mark_unsafe", [True, False])
@pytest.mark.parametrize("key", ["__ansible_unsafe", "__ansible_vault", "__ansible_type"])
@pytest.mark.parametrize(
    ("place", "path"),
    [
        (lambda key: foo({key: "x"}), "spec.{key}"),
        (lambda key: foo({"list": [{}, {"deep": {key: {"a": 1}}}]}), "spec.list[1].deep.{key}"),
        (lambda key: foo(metadata={"annotations": {key: "x"}}), "metadata.annotations.{key}"),
        (lambda key: foo(status={key: "x"}), "status.{key}"),
    ],
    ids=["spec", "list", "annotations", "status"],
)
def test_a_marker_key_is_refused_with_its_path(place: Any, path: str, key: str, mark_unsafe: bool) -> None:
    with pytest.raises(ExtraVarsError) as refused:
        make_extra_vars(Watch(GVK, mark_unsafe=mark_unsafe), place(key))
    assert str(refused.value).startswith(f"{path.format(key=key)}: ")


@pytest.mark.parametrize("key", ["__ansibleUnsafe", "__ansible-vault", "__ansible type"])
def test_a_key_that_becomes_a_marker_in_snake_case_is_refused(key: str) -> None:
    with pytest.raises(ExtraVarsError, match="snake case"):
        make_extra_vars(Watch(GVK), foo({"deep": {key: "x"}}))
    make_extra_vars(Watch(GVK, snake_case_parameters=False), foo({"deep": {key: "x"}}))


@pytest.mark.parametrize(
    "field",
    ["ansiblePythonInterpreter", "ansible_connection", "ansibleOperatorMeta", "hostvars", "lookup", "_ansibleX"],
)
def test_a_field_that_would_steer_ansible_is_no_variable_but_stays_readable(field: str) -> None:
    variables = make_extra_vars(Watch(GVK), foo({field: "x"}))
    found = decoded(variables)
    assert set(found) == {"ansible_operator_meta", "_tutorial_my_domain_foo", "_tutorial_my_domain_foo_spec"}
    assert found["ansible_operator_meta"]["name"] == "foo-01"
    assert found["_tutorial_my_domain_foo_spec"] == {field: unsafe("x")}
    assert len(variables.warnings) == 1


@pytest.mark.parametrize("field", ["name", "namespace", "port", "tags", "timeout", "environment", "vars"])
def test_an_ordinary_field_is_a_variable_even_where_plays_have_a_keyword_of_that_name(field: str) -> None:
    variables = make_extra_vars(Watch(GVK), foo({field: "x"}))
    assert decoded(variables)[field] == unsafe("x")
    assert variables.warnings == ()


def test_a_steering_field_below_the_top_is_data() -> None:
    assert made(foo({"deep": {"ansible_connection": "x"}}))["deep"] == {"ansible_connection": unsafe("x")}


def test_the_text_is_json_that_begins_as_no_yaml_may() -> None:
    assert make_extra_vars(Watch(GVK), foo()).data.startswith(b"\t{")


def test_an_object_that_is_nested_too_deep_is_refused() -> None:
    deep: dict[str, Any] = {}
    for _ in range(MAX_DEPTH + 1):
        deep = {"a": deep}
    with pytest.raises(ExtraVarsError, match="nested deeper than 100"):
        make_extra_vars(Watch(GVK), foo(deep))


def test_an_object_nested_as_deep_as_allowed_passes() -> None:
    deep: dict[str, Any] = {}
    for _ in range(MAX_DEPTH - 2):
        deep = {"a": deep}
    make_extra_vars(Watch(GVK), foo(deep))


def test_text_that_is_no_unicode_is_refused() -> None:
    with pytest.raises(ExtraVarsError, match="cannot be written as JSON"):
        make_extra_vars(Watch(GVK), foo({"text": "\ud800"}))


def test_the_object_itself_is_left_as_it_was() -> None:
    obj = foo({"podIPs": ["x"]})
    before = orjson.dumps(obj)
    make_extra_vars(Watch(GVK), obj)
    assert orjson.dumps(obj) == before
