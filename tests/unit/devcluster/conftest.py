"""An environment of its own for each test: nothing of this machine's cache, PATH or variables leaks in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MakePrograms = "Callable[[Path, str], Path]"


@pytest.fixture(autouse=True)
def cache_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Directory of `XDG_CACHE_HOME`, empty."""
    home = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    return home


@pytest.fixture
def make_program() -> Callable[[Path, str], Path]:
    """Write an executable shell script of this text."""

    def make(path: Path, text: str = "exit 0") -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        path.chmod(0o755)
        return path

    return make
