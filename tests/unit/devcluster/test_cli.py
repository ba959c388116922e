from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from reconcile_devcluster import cli, foreground
from reconcile_devcluster.layout import DataDirectory

if TYPE_CHECKING:
    from pathlib import Path


def _main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["devcluster", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code if isinstance(ended.value.code, int) else 0


@pytest.mark.parametrize(
    "arguments",
    [["nonsense"], ["up", "--nonsense"], ["up", "--dir"], ["run", "--cluster", "nonsense"], ["status", "surplus"]],
    ids=" ".join,
)
def test_wrong_usage_ends_with_code_2_and_no_traceback(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _main(monkeypatch, *arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err
    assert arguments[-1] in captured.err


def test_help_lists_the_commands() -> None:
    answer = CliRunner().invoke(cli.app, ["--help"])
    assert answer.exit_code == 0
    for command in ("up", "down", "status", "kubeconfig", "run", "fetch", "load", "restart-kubelet"):
        assert command in answer.stdout


def test_kubeconfig_prints_the_absolute_path_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    path = DataDirectory(tmp_path / "data").kubeconfig
    path.parent.mkdir()
    path.touch()
    assert _main(monkeypatch, "kubeconfig", "--dir", "data") == 0
    assert capsys.readouterr() == (f"{path}\n", "")


def test_kubeconfig_of_a_cluster_that_was_never_started_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _main(monkeypatch, "kubeconfig", "--dir", str(tmp_path)) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"error: {tmp_path}/kubeconfig: not there yet" in captured.err


def test_status_where_nothing_runs_ends_with_code_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _main(monkeypatch, "status", "--dir", str(tmp_path)) == 1
    assert capsys.readouterr().out == f"nothing runs in {tmp_path}\n"


def test_run_without_the_operators_package_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(foreground, "RUNNER", "no_such_package")
    assert _main(monkeypatch, "run", "--dir", str(tmp_path / "data")) == 1
    assert "pip install ansible-reconcile-runner" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


def test_down_where_nothing_runs_is_fine_and_creates_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _main(monkeypatch, "down", "--dir", str(tmp_path / "data")) == 0
    assert "nothing runs in" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


def test_a_directory_that_cannot_be_made_is_an_error_and_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert _main(monkeypatch, "up", "--dir", str(tmp_path / "file")) == 1
    assert f"error: [Errno 17] File exists: '{tmp_path}/file'" in capsys.readouterr().err


def test_another_operating_system_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert _main(monkeypatch, "status") == 1
    assert "runs on Linux only, found darwin" in capsys.readouterr().err


def test_without_a_node_there_is_nothing_to_load_into_and_no_kubelet_to_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _main(monkeypatch, "load", "localhost/foo:dev", "--dir", str(tmp_path)) == 1
    assert _main(monkeypatch, "restart-kubelet", "--dir", str(tmp_path)) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert first == f"devcluster: error: no node runs in {tmp_path}"
    assert second == f"devcluster: error: no node runs in the background of {tmp_path}"


def test_a_machine_that_cannot_have_a_node_says_so_before_anything_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert _main(monkeypatch, "up", "--node", "--dir", str(tmp_path / "data")) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("devcluster: error: a node needs root")
    assert not (tmp_path / "data" / "state.json").exists()
