from __future__ import annotations

import pytest

from reconcile_runner.apimachinery.fieldpath import ANY_ELEMENT, FieldPath, Step, parse_steps
from reconcile_runner.apimachinery.objects import KubeObject

POD: KubeObject = {
    "metadata": {"name": "jack", "labels": {"app.kubernetes.io/name": "web", "friend": "joe"}, "empty": None},
    "spec": {
        "replicas": 3,
        "paused": True,
        "ratio": 0.5,
        "containers": [{"name": "a", "ports": [1, 2]}, {"name": "b"}, {"image": "c"}, "odd"],
    },
}


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("spec", ("spec",)),
        ("spec.name", ("spec", "name")),
        ("metadata.labels['app.kubernetes.io/name']", ("metadata", "labels", "app.kubernetes.io/name")),
        ('metadata.labels["a.b"].c', ("metadata", "labels", "a.b", "c")),
        ("['a.b'].c", ("a.b", "c")),
        ("spec.containers[*].name", ("spec", "containers", ANY_ELEMENT, "name")),
        ("a[*][*]", ("a", ANY_ELEMENT, ANY_ELEMENT)),
        ("spec.with-dash/and_slash", ("spec", "with-dash/and_slash")),
        ("spec['$ref']", ("spec", "$ref")),
    ],
)
def test_reads_paths(text: str, steps: tuple[Step, ...]) -> None:
    assert parse_steps(text) == steps


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", ".", ".spec", "spec.", "spec..name", "spec.[*]", "spec name", "spec[", "spec[]", "spec[0]"),
        *("spec[*", "spec['a'", "spec['']", "spec['a']b", "[*]", "[*].name", "a.b\n", "spec.*"),
        *("{.spec.name}", "$.spec.name", "{{ spec.name }}", "spec.$ref", "spec.items[?(@.a==1)]", "a|b"),
    ],
)
def test_refuses_what_is_no_path(text: str) -> None:
    with pytest.raises(ValueError, match="field path"):
        FieldPath(text)


def test_says_where_a_path_stops_being_one() -> None:
    with pytest.raises(ValueError, match=r"field path 'spec\.name\[0\]': cannot be read from column 10 on"):
        FieldPath("spec.name[0]")


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("metadata.name", {"jack"}),
        ("metadata.labels['app.kubernetes.io/name']", {"web"}),
        ("spec.containers[*].name", {"a", "b"}),
        ("spec.containers[*].ports[*]", {"1", "2"}),
        ("spec.replicas", {"3"}),
        ("spec.paused", {"true"}),
        ("spec.ratio", {"0.5"}),
        ("spec.containers[*]", {"odd"}),
        ("metadata.empty", set()),
        ("metadata.labels", set()),
        ("spec.containers", set()),
        ("spec.absent.deeper", set()),
        ("spec.replicas.deeper", set()),
        ("metadata.name[*]", set()),
        ("spec.containers.name", set()),
    ],
)
def test_finds_scalars_as_text_and_nothing_else(path: str, values: set[str]) -> None:
    assert FieldPath(path).values(POD) == values


def test_finds_whole_subtrees() -> None:
    assert FieldPath("metadata.labels").subtree(POD) == (POD["metadata"]["labels"],)
    assert FieldPath("metadata.empty").subtree(POD) == (None,)
    assert FieldPath("metadata.annotations").subtree(POD) == ()


@pytest.mark.parametrize(
    ("path", "expected"),
    [("metadata.name", True), ("metadata", True), ("spec.name", False), ("metadataish", False), ("kind", False)],
)
def test_knows_what_a_metadata_only_cache_can_answer(path: str, expected: bool) -> None:
    assert FieldPath(path).is_metadata is expected


def test_paths_of_one_text_are_equal() -> None:
    assert FieldPath("spec.name") == FieldPath("spec.name")
    assert len({FieldPath("spec.name"), FieldPath("spec.name"), FieldPath("spec.kind")}) == 2
    assert str(FieldPath("spec.name")) == "spec.name"
