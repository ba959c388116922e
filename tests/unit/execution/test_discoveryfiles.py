from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from runner.execution import discoveryfiles

SERVER = "http://127.0.0.1:4711"


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_the_files_of_this_server_are_removed_and_no_others(temporary: Path) -> None:
    own = list(discoveryfiles.paths(SERVER))
    others = [*discoveryfiles.paths("http://127.0.0.1:4712"), temporary / "k8srcp-other.json"]
    for path in (*own, *others):
        path.touch()
    discoveryfiles.remove(SERVER)
    assert sorted(temporary.iterdir()) == sorted(others)


def test_a_file_that_cannot_be_removed_is_no_error(temporary: Path) -> None:
    next(discoveryfiles.paths(SERVER)).mkdir()
    discoveryfiles.remove(SERVER)
    discoveryfiles.remove(SERVER)
