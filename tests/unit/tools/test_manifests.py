from __future__ import annotations

from pathlib import Path

import pytest

from tools import manifests


def _kubectl(directory: Path, script: str) -> Path:
    program = directory / "kubectl"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return program


def test_kubectl_builds_the_directory(tmp_path: Path) -> None:
    assert manifests.build(_kubectl(tmp_path, 'echo "$1 $2"'), Path("config/x")) == "kustomize config/x\n"


def test_a_mistake_is_said_in_kubectls_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        manifests.build(_kubectl(tmp_path, "echo 'no such file: x.yaml' >&2; exit 1"), Path("config/x"))
    assert ended.value.code == 1
    assert "config/x: cannot be built:\nno such file: x.yaml" in capsys.readouterr().err


def test_empty_documents_are_no_objects() -> None:
    assert manifests.parse("# a comment\n---\nkind: A\n---\n---\nkind: B\n") == [{"kind": "A"}, {"kind": "B"}]


def test_install_yaml_says_where_it_comes_from(tmp_path: Path) -> None:
    text = manifests.install_text(_kubectl(tmp_path, "echo 'kind: Namespace'"))
    assert "make manifests" in text
    assert manifests.parse(text) == [{"kind": "Namespace"}]


def test_a_directory_holds_exactly_what_was_written(tmp_path: Path) -> None:
    manifests.write(tmp_path / "out", {"a.yaml": "1", "below/b.yaml": "2"})
    manifests.write(tmp_path / "out", {"below/c.yaml": "3"})
    there = {path.relative_to(tmp_path).as_posix(): path.read_text() for path in tmp_path.rglob("*.yaml")}
    assert there == {"out/below/c.yaml": "3"}
