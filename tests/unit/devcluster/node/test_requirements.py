from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from reconcile_devcluster.node import requirements
from reconcile_devcluster.node.requirements import NodeUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_a_user_who_is_not_root_is_told_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(NodeUnavailableError, match=r"a node needs root, found user 1000; .*kind or minikube"):
        requirements.check_machine(tmp_path)


def test_everything_that_is_missing_is_named_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(requirements, "_search_path", lambda: str(tmp_path))
    monkeypatch.setattr(requirements, "_CNI_DIRECTORIES", (str(tmp_path),))
    with pytest.raises(NodeUnavailableError) as caught:
        requirements.find_system_programs()
    text = str(caught.value)
    assert text.startswith("a node needs containerd, containerd-shim-runc-v2, ctr, runc, iptables, conntrack, ip, ")
    assert "the CNI plugins (in " in text
    assert "on Debian and Ubuntu: apt-get install containerd runc " in text
    assert "kind or minikube" in text
    assert "\n" not in text


def test_programs_and_plugins_are_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, make_program: Callable[[Path, str], Path]
) -> None:
    for name in requirements._PROGRAMS:
        make_program(tmp_path / "bin" / name, "exit 0")
    for name in requirements._CNI_PLUGINS:
        make_program(tmp_path / "cni" / name, "exit 0")
    monkeypatch.setattr(requirements, "_search_path", lambda: str(tmp_path / "bin"))
    monkeypatch.setattr(requirements, "_CNI_DIRECTORIES", (str(tmp_path / "absent"), str(tmp_path / "cni")))
    found = requirements.find_system_programs()
    assert found.ctr == tmp_path / "bin" / "ctr"
    assert found.cni_plugins == tmp_path / "cni"


@pytest.mark.parametrize(
    ("effective", "lacking"),
    [
        ("000001ffffffffff", []),
        # What Docker leaves to root in a container by default.
        ("00000000a80425fb", ["CAP_NET_ADMIN", "CAP_SYS_ADMIN"]),
        ("0000000000200000", ["CAP_NET_ADMIN"]),
    ],
)
def test_lacking_capabilities_are_named(effective: str, lacking: list[str]) -> None:
    status = f"Name:\tpython\nCapPrm:\tffffffffffffffff\nCapEff:\t{effective}\n"
    assert requirements.lacking_capabilities(status) == lacking
