from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reconcile_runner.execution import tempdir


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


ANSIBLES = ["ansible-local-42abcdefgh", "ansible-moduletmp-1700000000.1-ab_defgh", "ansible-tmp-1700000000.1-42-28"]


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    (tmp_path / "elsewhere").mkdir()
    return tmp_path / "elsewhere"


def own(elsewhere: Path, name: str) -> Path:
    """Make a directory as Ansible does."""
    made = elsewhere / name
    made.mkdir()
    (made / "file").touch()
    return made


@pytest.mark.parametrize("name", ANSIBLES)
@pytest.mark.parametrize("how", [tempdir.empty, tempdir.remove])
def test_what_was_adopted_goes_with_the_rest(
    directory: Path, elsewhere: Path, name: str, how: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(directory))
    made, other = own(elsewhere, name), own(elsewhere, f"{name}1")
    tempdir.adopt(str(made))
    how(str(directory))
    assert (made.exists(), other.exists()) == (False, True)
    assert not (directory / name).is_symlink()


def test_what_was_adopted_stays_while_somebody_holds_the_directory(
    directory: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(directory))
    made = own(elsewhere, ANSIBLES[0])
    tempdir.adopt(str(made))
    with tempdir.held(str(directory)):
        tempdir.empty(str(directory))
    assert made.exists()


def test_what_was_forgotten_stays(directory: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(directory))
    made = own(elsewhere, ANSIBLES[0])
    tempdir.adopt(str(made))
    tempdir.forget(str(made))
    tempdir.forget(str(made))
    tempdir.empty(str(directory))
    assert made.exists()


@pytest.mark.parametrize(
    ("name", "target"),
    [("ansible-tmp-1-2-3", "ansible-tmp-1-2-4"), ("ansible-data-1", "ansible-data-1"), ("other", "other")],
)
def test_a_link_of_a_role_is_not_followed(directory: Path, elsewhere: Path, name: str, target: str) -> None:
    made = own(elsewhere, target)
    (directory / name).symlink_to(made)
    tempdir.empty(str(directory))
    tempdir.remove(str(directory))
    assert (made / "file").exists()


@pytest.mark.parametrize("variable", [None, "", "elsewhere", "missing"])
def test_without_a_directory_for_its_run_nothing_is_adopted(
    tmp_path: Path, elsewhere: Path, variable: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if variable is None:
        monkeypatch.delenv("TMPDIR", raising=False)
    else:
        monkeypatch.setenv("TMPDIR", variable)
    made = own(elsewhere, ANSIBLES[0])
    before = sorted(tmp_path.rglob("*"))
    tempdir.adopt(str(made))
    tempdir.forget(str(made))
    assert sorted(tmp_path.rglob("*")) == before


def test_the_directory_is_private(directory: Path) -> None:
    assert directory.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(("length", "too_long"), [(70, False), (71, True)])
def test_a_directory_has_room_for_the_sockets_of_a_run(length: int, too_long: bool) -> None:
    assert tempdir.is_too_long(Path("/" + "x" * (length - 1))) is too_long
