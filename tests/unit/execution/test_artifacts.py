from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from runner.execution import artifacts


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
    artifacts.keep_newest(runs, count)
    expected = {"newest", "middle", "oldest"} if left is None else left
    assert {path.name for path in runs.iterdir()} == expected | {artifacts.LATEST}


def test_nothing_is_kept_of_nothing(tmp_path: Path) -> None:
    artifacts.keep_newest(tmp_path / "absent", 1)


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
