"""What the operator costs in a Pod, against what `config/manager` asks for: the figures of docs/operating.md."""

from __future__ import annotations

import time

import pytest

from tests.e2e.changing import Village
from tests.e2e.deployed import Deployed, container_of
from tests.e2e.usage import MEBIBYTE, measured

pytestmark = pytest.mark.timeout(600)

IDLE_SECONDS = 10.0


@pytest.mark.parametrize("foos", [0, 20, 100])
def test_the_leader_stays_below_half_of_its_memory_limit(
    operator: Deployed, village: Village, figures: list[str], foos: int
) -> None:
    operator.settle()
    village.populate(1)
    village.settles()  # Ansible is loaded by now, which is part of a start
    leader = operator.leader()
    limit = memory_limit(operator, leader)
    before = container_of(operator.pod(leader))["restartCount"]
    begun = time.monotonic()
    with measured(operator, leader) as usage:
        if foos:
            village.populate(foos)
            village.settles()
        else:
            time.sleep(IDLE_SECONDS)
    took = time.monotonic() - begun
    figures.append(f"{foos} Foos at once: {took:.0f} s, {usage.peak:.0f} MiB at most, {usage.cpu:.1f} s of CPU")
    assert usage.peak < limit / 2
    assert container_of(operator.pod(leader))["restartCount"] == before


def memory_limit(operator: Deployed, pod: str) -> float:
    """Return it in MiB."""
    text = operator.pod(pod)["spec"]["containers"][0]["resources"]["limits"]["memory"]
    units = {"Mi": 2**20, "Gi": 2**30}
    return float(text[:-2]) * units[text[-2:]] / MEBIBYTE
