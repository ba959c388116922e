"""What the probes look at: caches that are filled and followed, reconciles that end.

``manager`` adds these checks to those of ``healthz``, which ``httpserver`` asks.
"""

from __future__ import annotations

from typing import Final

from reconcile_runner.cache.cache import Cache
from reconcile_runner.cache.reflector import Health
from reconcile_runner.clock import Clock
from reconcile_runner.controller.controller import Controller
from reconcile_runner.server.healthz import Check

RECONNECT_PATIENCE: Final = 5.0
"""Seconds without an open watch after which ``/readyz`` fails: each watch is opened anew every few minutes."""

STUCK_AFTER: Final = 60.0
"""Seconds beyond the run timeout after which a reconcile counts as stuck, and ``/healthz`` fails."""


def caches_check(cache: Cache, clock: Clock) -> Check:
    """Return the check that every kind is served, has been listed and is watched."""

    def check() -> str | None:
        problems = {
            "not served": cache.missing(),
            "not listed yet": cache.unsynced(),
            "no watch is open": [health.gvk for health in cache.health() if is_cut_off(health)],
        }
        for problem, kinds in problems.items():
            if kinds:
                return f"{problem}: " + "; ".join(sorted({str(gvk) for gvk in kinds}))
        return None

    def is_cut_off(health: Health) -> bool:
        return not health.connected and clock.monotonic() - health.since > RECONNECT_PATIENCE

    return check


def stuck_check(controller: Controller, run_timeout: float) -> Check:
    """Return the check that no reconcile takes much longer than ``run_timeout`` seconds; 0: runs may take any time."""

    def check() -> str | None:
        if not run_timeout:
            return None
        stuck = [str(key) for key, seconds in controller.running().items() if seconds > run_timeout + STUCK_AFTER]
        return f"stuck in a reconcile: {', '.join(stuck)}" if stuck else None

    return check
