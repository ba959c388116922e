"""What a run leaves arrives whole, once, and under its topic."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconcile_runner.execution.forkserver.handover import Topic, has_pending, publish, take


def test_what_was_announced_is_taken_once(tmp_path: Path) -> None:
    publish(tmp_path, Topic.TEMPLATES, [(True, False, "grüße")])
    publish(tmp_path, Topic.TEMPLATES, [(False, True, "other")])
    assert has_pending(tmp_path)
    assert sorted(take(tmp_path, Topic.TEMPLATES)) == [[(False, True, "other")], [(True, False, "grüße")]]
    assert list(take(tmp_path, Topic.TEMPLATES)) == []
    assert not has_pending(tmp_path)


def test_a_topic_leaves_the_others_waiting(tmp_path: Path) -> None:
    publish(tmp_path, Topic.ARCHIVE, ("ansible.modules.ping", b"zip"))
    publish(tmp_path, Topic.FILES, [("/a.yml", False, True)])
    assert list(take(tmp_path, Topic.FILES)) == [[("/a.yml", False, True)]]
    assert has_pending(tmp_path)
    assert list(take(tmp_path, Topic.ARCHIVE)) == [("ansible.modules.ping", b"zip")]


def test_what_another_play_is_still_writing_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A play that is slow, or was killed while it wrote: its announcement is not there yet, or never will be."""

    def be_killed(_self: Path, _target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "rename", be_killed)
    with pytest.raises(KeyboardInterrupt):
        publish(tmp_path, Topic.FILES, [("/a.yml", False, True)])
    (part,) = tmp_path.iterdir()
    assert not has_pending(tmp_path)
    assert list(take(tmp_path, Topic.FILES)) == []
    assert part.exists()
