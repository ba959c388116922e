from __future__ import annotations

import os

import pytest

from reconcile_runner.apimachinery.objects import GroupVersionKind
from reconcile_runner.options import Options, usable_cpus

FOO = GroupVersionKind("example.com", "v1", "Foo")
BAR = GroupVersionKind("example.com", "v1", "Bar")


def test_each_kind_has_its_own_workers_or_those_of_all() -> None:
    options = Options(max_concurrent_reconciles=3, workers_by_kind={FOO: 7})
    assert (options.workers_for(FOO), options.workers_for(BAR)) == (7, 3)


def test_each_kind_has_its_own_verbosity_even_none_at_all() -> None:
    options = Options(ansible_verbosity=2, verbosity_by_kind={FOO: 0})
    assert (options.verbosity_for(FOO), options.verbosity_for(BAR)) == (0, 2)


def test_the_default_number_of_workers_is_the_number_of_cpus_that_may_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1, 5}, raising=False)
    assert usable_cpus() == 3
    assert Options().max_concurrent_reconciles == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    assert usable_cpus() == os.cpu_count()
