from __future__ import annotations

from pathlib import Path

import pytest

from runner.execution import tempdir


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    made = tmp_path / "tmp"
    tempdir.make(made)
    return made


def fill(directory: Path) -> set[str]:
    """Leave behind what killed processes leave; return its names."""
    (directory / "ansible_x_payload_1").mkdir()
    (directory / "ansible_x_payload_1" / "ansible_x_payload.zip").touch()
    (directory / "tmp.1").touch()
    (directory / "link").symlink_to("/etc")
    (directory / "k8srcp-0123.json").touch()
    (directory / "osrcp-0123.json").touch()
    return names(directory)


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def test_what_was_left_goes_and_what_modules_know_of_the_api_server_stays(directory: Path) -> None:
    before = names(directory)
    fill(directory)
    tempdir.empty(str(directory))
    assert names(directory) == before | {"k8srcp-0123.json", "osrcp-0123.json"}
    assert Path("/etc/passwd").exists()


def test_nothing_goes_while_somebody_holds_it(directory: Path) -> None:
    filled = fill(directory)
    with tempdir.held(str(directory)), tempdir.held(str(directory)):
        tempdir.empty(str(directory))
        assert names(directory) == filled
    tempdir.empty(str(directory))
    assert "tmp.1" not in names(directory)


def test_a_directory_that_was_not_made_for_runs_is_left_alone(tmp_path: Path) -> None:
    filled = fill(tmp_path)
    tempdir.empty(str(tmp_path))
    tempdir.remove(str(tmp_path))
    assert names(tmp_path) == filled


def test_a_directory_that_is_gone_is_no_error(tmp_path: Path) -> None:
    gone = str(tmp_path / "gone")
    with tempdir.held(gone):
        tempdir.empty(gone)
    tempdir.remove(gone)


def test_a_directory_is_removed_whole(directory: Path) -> None:
    fill(directory)
    tempdir.remove(str(directory))
    assert not directory.exists()


def test_the_directory_is_private(directory: Path) -> None:
    assert directory.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(("length", "too_long"), [(70, False), (71, True)])
def test_a_directory_has_room_for_the_sockets_of_a_run(length: int, too_long: bool) -> None:
    assert tempdir.is_too_long(Path("/" + "x" * (length - 1))) is too_long
