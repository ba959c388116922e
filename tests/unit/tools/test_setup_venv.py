from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import pytest

from tools import setup_venv
from tools.environment import digest, is_stamped

if TYPE_CHECKING:
    from pathlib import Path


def test_a_python_without_requirements_is_told_which_there_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "dev-py311.txt").touch()
    (tmp_path / "dev-py312.txt").touch()
    monkeypatch.setattr(setup_venv, "REQUIREMENTS", tmp_path)
    monkeypatch.setattr(setup_venv, "python_minor", lambda: "399")
    with pytest.raises(SystemExit) as ended:
        setup_venv.main()
    assert ended.value.code == 1
    message = capsys.readouterr().err
    assert "dev-py399.txt" in message
    assert "dev-py311.txt, dev-py312.txt" in message


def test_a_python_without_venv_is_told_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(SystemExit) as ended:
        setup_venv.main()
    assert ended.value.code == 1
    assert "has no venv module (on Debian and Ubuntu: apt install python3-venv)" in capsys.readouterr().err


def test_a_digest_depends_on_every_part_and_on_where_they_end() -> None:
    assert len({digest(b"ab", b"c"), digest(b"a", b"bc"), digest(b"abc"), digest(b"ab", b"c", b"")}) == 4


def test_a_stamp_is_of_one_content(tmp_path: Path) -> None:
    stamp = tmp_path / "stamp"
    assert not is_stamped(stamp, "x")
    stamp.write_text("x")
    assert is_stamped(stamp, "x")
    assert not is_stamped(stamp, "y")
