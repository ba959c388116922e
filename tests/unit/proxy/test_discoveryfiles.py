from __future__ import annotations

import hashlib
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from kubernetes.dynamic.discovery import EagerDiscoverer

from runner.proxy.discoveryfiles import remove_discovery_files

URL = "http://127.0.0.1:12345"


@pytest.fixture(autouse=True)
def _temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


class _Discoverer(EagerDiscoverer):  # type: ignore[misc] # the library has no types
    """The Python client's own, which then has nothing to discover."""

    def discover(self) -> None:
        self._write_cache()

    def _load_server_info(self) -> None:
        self._cache["version"] = {}


def test_the_python_clients_file_is_removed_and_that_of_another_server_stays(tmp_path: Path) -> None:
    for host in (URL, "http://127.0.0.1:1"):
        _Discoverer(SimpleNamespace(configuration=SimpleNamespace(host=host)), None)
    assert len(list(tmp_path.iterdir())) == 2
    remove_discovery_files(URL)
    assert len(list(tmp_path.iterdir())) == 1


def test_without_files_there_is_nothing_to_do(tmp_path: Path) -> None:
    remove_discovery_files(URL)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("identity", [URL, f"{URL}-{os.getuid()}"], ids=["no user", "a user's number"])
def test_the_files_of_kubernetes_core_are_removed(tmp_path: Path, identity: str) -> None:
    (tmp_path / f"k8srcp-{hashlib.sha256(identity.encode()).hexdigest()}.json").touch()
    remove_discovery_files(URL)
    assert list(tmp_path.iterdir()) == []
