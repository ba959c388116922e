from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from reconcile_devcluster.api import ApiServer
from reconcile_devcluster.certificates import Pki, ensure_pki
from reconcile_devcluster.credentials import (
    ADMIN,
    CONTROLLERS,
    create_user,
    ensure_tokens,
    read_tokens,
    write_token_kubeconfig,
)
from reconcile_devcluster.errors import DevclusterError
from reconcile_devcluster.layout import DataDirectory

if TYPE_CHECKING:
    from pathlib import Path


def test_tokens_are_long_private_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "tokens.csv"
    tokens = ensure_tokens(path)
    assert tokens.keys() == {ADMIN, CONTROLLERS}
    assert all(len(token) >= 43 for token in tokens.values())
    assert path.stat().st_mode & 0o777 == 0o600
    assert ensure_tokens(path) == read_tokens(path) == tokens


def test_only_the_administrator_is_in_the_masters_group(tmp_path: Path) -> None:
    ensure_tokens(tmp_path / "tokens.csv")
    lines = (tmp_path / "tokens.csv").read_text().splitlines()
    assert [line.split(",")[1] for line in lines if "system:masters" in line] == [ADMIN]


def test_a_kubeconfig_holds_all_there_is_to_know(tmp_path: Path) -> None:
    pki = Pki(tmp_path / "pki")
    ensure_pki(pki)
    path = tmp_path / "kubeconfig"
    write_token_kubeconfig(
        path, server="https://127.0.0.1:1234", ca_certificate=pki.ca_certificate, user="alice", token="secret"
    )
    assert path.stat().st_mode & 0o777 == 0o600
    server = ApiServer.from_kubeconfig(path)
    assert (server.host, server.port, server.token) == ("127.0.0.1", 1234, "secret")


@pytest.mark.parametrize("user", ["alice", "system:serviceaccount:default:x", "a/b"])
def test_a_user_gets_a_kubeconfig_of_their_own(tmp_path: Path, user: str) -> None:
    directory = DataDirectory(tmp_path)
    ensure_pki(Pki(directory.pki))
    path = create_user(directory, "https://127.0.0.1:1234", user, ["readers"])
    assert path.parent == directory.users
    assert yaml.safe_load(path.read_text())["users"][0]["name"] == user
    assert ApiServer.from_kubeconfig(path).token is None


@pytest.mark.parametrize("text", ["", "clusters: []", "- x", "{", "clusters: [{cluster: {server: x}}]"])
def test_what_is_no_kubeconfig_is_named_in_the_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "file").write_text(text)
    with pytest.raises(DevclusterError, match="not a kubeconfig of a devcluster"):
        ApiServer.from_kubeconfig(tmp_path / "file")
