from __future__ import annotations

from reconcile_runner.metrics import PHASE_DURATION, Metrics, Phase
from tools.bench.scrape import Scrape


def test_reads_what_the_operator_shows() -> None:
    metrics = Metrics()
    metrics.phase_finished("foo", Phase.PLAY, 1.0)
    before = Scrape.parse(metrics.exposition().decode())
    metrics.phase_finished("foo", Phase.PLAY, 2.0)
    metrics.phase_finished("foo", Phase.PLAY, 3.0)
    metrics.phase_finished("other", Phase.PLAY, 100.0)
    after = Scrape.parse(metrics.exposition().decode())
    assert after.mean_since(before, PHASE_DURATION.name, controller="foo", phase="play") == 2.5


def test_the_mean_of_nothing_is_none() -> None:
    scrape = Scrape.parse(Metrics().exposition().decode())
    assert scrape.mean_since(scrape, PHASE_DURATION.name, controller="foo") is None


def test_sums_over_the_labels_that_were_not_named() -> None:
    metrics = Metrics()
    metrics.phase_finished("foo", Phase.PLAY, 1.0)
    metrics.phase_finished("foo", Phase.FORK, 2.0)
    scrape = Scrape.parse(metrics.exposition().decode())
    assert scrape.value(f"{PHASE_DURATION.name}_sum", controller="foo") == 3.0
