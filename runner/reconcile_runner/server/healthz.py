"""What ``/healthz`` and ``/readyz`` answer: named checks.

Each is either fine or one sentence about the problem.

Liveness fails where only a restart helps; readiness where work
cannot be done at the moment.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

_START = "start"

Check: TypeAlias = Callable[[], str | None]
"""Returns None when all is well, else the problem. Called in the event loop; must not block."""


class Probe(enum.StrEnum):
    """The two questions a kubelet asks."""

    HEALTHZ = "healthz"
    READYZ = "readyz"


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """The answer to a probe: each check's name and problem (None: fine)."""

    results: tuple[tuple[str, str | None], ...]

    @property
    def is_ok(self) -> bool:
        """Tell whether no check has a problem."""
        return all(problem is None for _, problem in self.results)

    def text(self, probe: Probe, *, verbose: bool = False) -> str:
        """Return the body, as kube-apiserver writes it: ``ok``, or a line for each check."""
        if self.is_ok and not verbose:
            return "ok"
        lines = [
            f"[+]{name} ok" if problem is None else f"[-]{name} failed: {problem}" for name, problem in self.results
        ]
        lines.append(f"{probe} check {'passed' if self.is_ok else 'failed'}")
        return "\n".join(lines) + "\n"


class Checks:
    """The registry of checks."""

    def __init__(self) -> None:
        self._checks: dict[Probe, dict[str, Check]] = {
            Probe.HEALTHZ: {"ping": lambda: None},
            Probe.READYZ: {_START: lambda: "not complete"},
        }

    def add(self, probe: Probe, name: str, check: Check) -> None:
        """Add a check; one of the same name is replaced."""
        self._checks[probe][name] = check

    def start_is_complete(self) -> None:
        """Note that every check has been added; until then the operator is not ready."""
        self._checks[Probe.READYZ][_START] = lambda: None

    def report(self, probe: Probe) -> ProbeReport:
        """Ask every check of a probe."""
        return ProbeReport(tuple((name, check()) for name, check in self._checks[probe].items()))
