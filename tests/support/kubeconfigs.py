"""Kubeconfig files for tests."""

from __future__ import annotations

from pathlib import Path

import yaml


def write_kubeconfig(path: Path, server: str = "http://127.0.0.1:9", token: str = "") -> Path:
    """Write a kubeconfig of one cluster and one user, with a token or without; return its path.

    At the default address nobody answers.
    """
    config = {
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {"token": token} if token else {}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path
