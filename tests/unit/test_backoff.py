"""Pauses between attempts."""

from __future__ import annotations

import pytest

from reconcile_runner.backoff import Backoff


def test_pauses_double_from_800_ms_to_30_s() -> None:
    backoff = Backoff(lambda: 0.0)
    assert [backoff.next() for _ in range(8)] == pytest.approx([0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0])


def test_jitter_only_ever_makes_a_pause_longer_and_doubles_it_at_most() -> None:
    backoff = Backoff()
    for base in (0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0):
        assert base <= backoff.next() <= 2 * base


def test_a_reset_begins_again() -> None:
    backoff = Backoff(lambda: 1.0)
    backoff.next()
    backoff.next()
    backoff.reset()
    assert backoff.next() == pytest.approx(1.6)
