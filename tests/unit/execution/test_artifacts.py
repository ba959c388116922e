from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from reconcile_runner.execution import artifacts
from reconcile_runner.execution.artifacts import ArtifactStore


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for age, name in enumerate(["newest", "middle", "oldest"]):
        (tmp_path / name / "job_events").mkdir(parents=True)
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    (tmp_path / artifacts.LATEST).symlink_to("newest")
    return tmp_path


@pytest.mark.parametrize(
    ("count", "left"),
    [(0, set()), (1, {"newest"}), (2, {"newest", "middle"}), (3, {"newest", "middle", "oldest"}), (9, None)],
)
def test_the_newest_are_kept_and_the_link_is_no_run(runs: Path, count: int, left: set[str] | None) -> None:
    ArtifactStore().keep_newest(runs, count)
    expected = {"newest", "middle", "oldest"} if left is None else left
    assert {path.name for path in runs.iterdir()} == expected | {artifacts.LATEST}


def test_nothing_is_kept_of_nothing(tmp_path: Path) -> None:
    ArtifactStore().keep_newest(tmp_path / "absent", 1)


def test_cached_facts_are_closed_to_others(tmp_path: Path) -> None:
    artifacts.prepare(tmp_path, "1")
    facts = tmp_path / "1" / "fact_cache" / "localhost"
    facts.touch(mode=0o644)
    artifacts.close_to_others(tmp_path, "1")
    assert stat.S_IMODE(facts.stat().st_mode) == 0o600
    artifacts.close_to_others(tmp_path, "absent")


def test_a_runs_place_is_private_and_latest_leads_there(tmp_path: Path) -> None:
    directory = tmp_path / "artifacts"
    for ident in ("1", "2"):
        artifacts.prepare(directory, ident)
    assert (directory / artifacts.LATEST).resolve() == directory / "2"
    assert {path.name for path in directory.iterdir()} == {"1", "2", artifacts.LATEST}
    made = [directory, *(path for path in directory.rglob("*") if not path.is_symlink())]
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 for path in made)


def finished(store: ArtifactStore, root: Path, obj: str, ident: str, age: int = 0) -> Path:
    """Leave one run's artifacts, 8 KiB and a directory."""
    run = root / obj / "artifacts" / ident
    run.mkdir(parents=True)
    (run / "stdout").write_bytes(b"x" * 8192)
    os.utime(run, (1000 - age, 1000 - age))
    store.finished(run)
    return run


ONE = 8192 + 4096
"""Bytes at most of one run's artifacts, whatever the file system counts for a directory."""


def test_of_all_runs_together_the_oldest_go_first_whosesoever(tmp_path: Path) -> None:
    store = ArtifactStore(limit=2 * ONE)
    runs = [finished(store, tmp_path, obj, ident) for obj, ident in (("a", "1"), ("b", "2"), ("a", "3"))]
    assert [run.exists() for run in runs] == [False, True, True]


def test_what_went_with_its_object_or_by_its_own_limit_takes_no_room(tmp_path: Path) -> None:
    store = ArtifactStore(limit=2 * ONE)
    first, second = (finished(store, tmp_path, "a", ident, age) for ident, age in (("1", 1), ("2", 0)))
    store.keep_newest(tmp_path / "a" / "artifacts", 1)
    third = finished(store, tmp_path, "b", "3")
    assert [run.exists() for run in (first, second, third)] == [False, True, True]
    store.removed(tmp_path / "a" / "artifacts")
    fourth = finished(store, tmp_path, "c", "4")
    assert [run.exists() for run in (third, fourth)] == [True, True]


def test_a_limit_of_zero_keeps_nothing_and_none_keeps_everything(tmp_path: Path) -> None:
    assert not finished(ArtifactStore(0), tmp_path, "a", "1").exists()
    assert finished(ArtifactStore(None), tmp_path, "a", "2").exists()


def test_what_an_earlier_operator_left_counts(tmp_path: Path) -> None:
    runs = [finished(ArtifactStore(None), tmp_path, "a", ident, age) for ident, age in (("1", 9), ("2", 0))]
    store = ArtifactStore(limit=2 * ONE)
    store.take_stock(tmp_path)
    finished(store, tmp_path, "b", "3")
    assert [run.exists() for run in runs] == [False, True]
