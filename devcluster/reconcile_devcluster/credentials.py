"""Who may ask the API server: the token file it reads at its start, and kubeconfigs for people, programs and tests.

`controlplane` writes the administrator's; `create_user` adds others while the API server runs, by client
certificate, because a token file is read only once.
"""

from __future__ import annotations

import base64
import csv
import io
import secrets
from typing import TYPE_CHECKING, Any

import yaml

from reconcile_devcluster.certificates import Pki, issue_client_certificate, write_private

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from reconcile_devcluster.layout import DataDirectory

ADMIN = "devcluster-admin"
"""User of the admin kubeconfig, in group `system:masters`: allowed everything, whatever RBAC says."""

CONTROLLERS = "system:kube-controller-manager"
"""User of kube-controller-manager; RBAC has a role of this name."""


def ensure_tokens(path: Path) -> dict[str, str]:
    """Read the token file, or write one with fresh tokens of 256 bits.

    Returns:
        User name to token.

    """
    tokens = read_tokens(path)
    if {ADMIN, CONTROLLERS} <= tokens.keys():
        return tokens
    tokens = {ADMIN: secrets.token_urlsafe(32), CONTROLLERS: secrets.token_urlsafe(32)}
    groups = {ADMIN: "system:masters", CONTROLLERS: ""}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for user, token in tokens.items():
        # Three columns where there is no group: the API server takes an empty fourth one for a group named "".
        writer.writerow([token, user, user, groups[user]] if groups[user] else [token, user, user])
    write_private(path, text.getvalue().encode())
    return tokens


def read_tokens(path: Path) -> dict[str, str]:
    """User name to token of a token file; empty when there is no file."""
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        return {row[1]: row[0] for row in csv.reader(file) if len(row) > 1}


def write_token_kubeconfig(path: Path, *, server: str, ca_certificate: Path, user: str, token: str) -> None:
    """Write a kubeconfig (0600) that holds everything in itself: address, CA and bearer token."""
    _write_kubeconfig(path, server, ca_certificate, user, {"token": token})


def create_user(directory: DataDirectory, server: str, user: str, groups: Sequence[str] = ()) -> Path:
    """Make a user known to a running API server; what they may do is RBAC's matter.

    Args:
        directory: Data directory of the control plane.
        server: Address of its API server.
        user: Name of the user, as RBAC's subjects name it.
        groups: Groups besides `system:authenticated`.

    Returns:
        Path of the user's kubeconfig, which holds a client certificate.

    """
    pki = Pki(directory.pki)
    certificate, key = issue_client_certificate(pki, user, groups)
    directory.users.mkdir(mode=0o700, exist_ok=True)
    path = directory.users / f"{user.replace('/', '_').replace(':', '_')}.kubeconfig"
    _write_kubeconfig(
        path,
        server,
        pki.ca_certificate,
        user,
        {"client-certificate-data": _base64(certificate), "client-key-data": _base64(key)},
    )
    return path


def _write_kubeconfig(path: Path, server: str, ca_certificate: Path, user: str, credentials: dict[str, str]) -> None:
    cluster = {"server": server, "certificate-authority-data": _base64(ca_certificate.read_bytes())}
    kubeconfig: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "devcluster", "cluster": cluster}],
        "users": [{"name": user, "user": credentials}],
        "contexts": [{"name": "devcluster", "context": {"cluster": "devcluster", "user": user}}],
        "current-context": "devcluster",
    }
    write_private(path, yaml.safe_dump(kubeconfig, sort_keys=False).encode())


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
