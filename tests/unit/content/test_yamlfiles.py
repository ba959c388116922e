from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from reconcile_runner.content.yamlfiles import YamlFileError, documents, documents_of


@pytest.mark.parametrize(
    "text",
    ["&a [*a]", "&a {x: {y: [1, *a]}}", "x: 1\n---\n- &a\n  block: [*a]"],
    ids=["list", "deep", "second document"],
)
def test_an_anchor_that_has_cycle_is_an_error(text: str) -> None:
    with pytest.raises(YamlFileError, match="found an anchor that holds an alias to itself, expected a finite value"):
        documents_of(text)


def test_an_alias_may_be_used_often_and_is_looked_at_once() -> None:
    names = "abcdefghijklmnopqrstuvwxyz"
    laughs = ["a: &a [1]", *(f"{name}: &{name} [*{before}, *{before}]" for before, name in pairwise(names))]
    (document,) = documents_of("\n".join(laughs))
    assert document["b"] == [[1], [1]]


def test_tags_mean_nothing_and_empty_documents_are_left_out() -> None:
    text = "---\n---\nx: !vault |\n  secret\ny: !mine {z: !theirs [1]}"
    assert documents_of(text) == [{"x": "secret\n", "y": {"z": [1]}}]


def test_what_is_no_yaml_is_an_error_that_says_so() -> None:
    with pytest.raises(YamlFileError, match="found no YAML"):
        documents_of("{")


def test_files_that_cannot_be_read_are_errors_that_say_why(tmp_path: Path) -> None:
    with pytest.raises(YamlFileError, match="cannot be read: no such file or directory"):
        documents(tmp_path / "missing.yml")
    latin = tmp_path / "latin.yml"
    latin.write_bytes(b"x: \xe9")
    with pytest.raises(YamlFileError, match="found bytes that are not UTF-8"):
        documents(latin)
