"""Which files are known, by the names that the modules themselves give them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kubernetes.dynamic import discovery

from reconcile_runner.execution import discoverycache

URL = "http://127.0.0.1:1234"


class Served(discovery.LazyDiscoverer):  # type: ignore[misc]  # untyped
    """What the Python client keeps, without asking anybody."""

    def _load_server_info(self) -> None:
        pass

    def discover(self) -> None:
        pass


def written(directory: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Have the Python client write its file, and return the names of all files then."""
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    client: Any = SimpleNamespace(configuration=SimpleNamespace(host=url))
    Served(client, None)
    return {path.name for path in directory.iterdir()}


def test_the_file_of_the_python_client_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (name,) = written(tmp_path, URL, monkeypatch)
    assert name in discoverycache.names(URL)
    assert name not in discoverycache.names(f"{URL}5")


def test_all_are_removed_but_those_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "k8srcp-0.json").touch()
    (tmp_path / "other").touch()
    written(tmp_path, URL, monkeypatch)
    written(tmp_path, f"{URL}5", monkeypatch)
    discoverycache.remove(str(tmp_path), discoverycache.names(URL))
    left = {path.name for path in tmp_path.iterdir()}
    assert left - discoverycache.names(URL) == {"other"}
    assert len(left) == 2
    discoverycache.remove(str(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == {"other"}


def test_a_directory_that_is_gone_is_no_error(tmp_path: Path) -> None:
    discoverycache.remove(str(tmp_path / "gone"))
