from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from reconcile_devcluster import state
from reconcile_devcluster.process import ProcessIdentity
from reconcile_devcluster.state import ClusterState

if TYPE_CHECKING:
    from pathlib import Path

OURS = ProcessIdentity.of(os.getpid())
GONE = replace(OURS, start_ticks=0)


@pytest.mark.parametrize("owner", [None, OURS], ids=["background", "foreground"])
def test_what_was_saved_is_loaded_again(owner: ProcessIdentity | None, tmp_path: Path) -> None:
    saved = ClusterState(port=6443, controllers=True, processes={"etcd": OURS, "kube-apiserver": GONE}, owner=owner)
    state.save(tmp_path / "state.json", saved)
    loaded = state.load(tmp_path / "state.json")
    assert loaded == saved
    assert loaded is not None
    assert list(loaded.processes) == ["etcd", "kube-apiserver"]


def test_a_node_and_its_address_are_remembered(tmp_path: Path) -> None:
    saved = ClusterState(port=1, controllers=True, processes={}, address="10.213.1.1", node=True)
    state.save(tmp_path / "state.json", saved)
    loaded = state.load(tmp_path / "state.json")
    assert loaded == saved
    assert loaded.server == "https://10.213.1.1:1"


def test_a_file_from_before_there_were_nodes_is_understood(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text('{"port": 1, "controllers": false, "processes": {}, "owner": null}')
    assert state.load(tmp_path / "state.json") == ClusterState(port=1, controllers=False, processes={})


def test_no_file_is_no_state(tmp_path: Path) -> None:
    assert state.load(tmp_path / "state.json") is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"port": "x", "owner": null}'])
def test_a_damaged_file_is_no_state(text: str, tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text(text)
    assert state.load(tmp_path / "state.json") is None


def test_one_ended_process_makes_it_not_all_alive() -> None:
    alive = ClusterState(port=1, controllers=False, processes={"etcd": OURS})
    assert alive.all_alive()
    assert not replace(alive, processes={"etcd": OURS, "kube-apiserver": GONE}).all_alive()
