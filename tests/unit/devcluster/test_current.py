from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

import pytest
import yaml

from reconcile_devcluster import current
from reconcile_devcluster.errors import DevclusterError

if TYPE_CHECKING:
    from pathlib import Path


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "kubeconfig"
    config = {
        "clusters": [{"name": "prod", "cluster": {"server": "https://prod.example:6443"}}],
        "users": [{"name": "me", "user": {"token": "secret"}}],
        "contexts": [{"name": "production", "context": {"cluster": "prod", "user": "me"}}],
        "current-context": "production",
    }
    path.write_text(yaml.safe_dump(config))
    # The package reads the variable once, at its import.
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(path))
    return path


@pytest.mark.usefixtures("kubeconfig")
def test_without_a_terminal_nothing_is_asked_and_nothing_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    with pytest.raises(DevclusterError, match="stdin is not a terminal") as caught:
        current.choose()
    assert "context production, server https://prod.example:6443" in str(caught.value)


@pytest.mark.usefixtures("kubeconfig")
@pytest.mark.parametrize("answer", ["\n", "n\n", "", "yess\n"])
def test_anything_but_yes_is_a_no(
    answer: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", _Terminal(answer))
    with pytest.raises(DevclusterError, match="not confirmed"):
        current.choose()
    assert "context production, server https://prod.example:6443" in capsys.readouterr().err


@pytest.mark.usefixtures("kubeconfig")
@pytest.mark.parametrize("answer", ["y\n", "YES\n"])
def test_yes_gives_the_cluster_that_was_shown(answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", _Terminal(answer))
    chosen = current.choose()
    assert (chosen.context, chosen.server) == ("production", "https://prod.example:6443")


def test_no_kubeconfig_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "none"))
    with pytest.raises(DevclusterError, match="no usable kubeconfig"):
        current.choose()
