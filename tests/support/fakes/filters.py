"""A typed fake of ``Filter`` that refuses what it is told to, and remembers what it was asked."""

from __future__ import annotations

from reconcile_runner.server.authfilter import Refusal


class FakeFilter:
    """Implements ``Filter``."""

    def __init__(self, refusal: Refusal | None = None) -> None:
        self.answer = refusal
        self.asked: list[tuple[str, str, str]] = []

    async def refusal(self, authorization: str, verb: str, path: str) -> Refusal | None:
        self.asked.append((authorization, verb, path))
        return self.answer
