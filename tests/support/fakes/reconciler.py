"""A reconciler that answers as told and remembers what it was asked."""

from __future__ import annotations

import asyncio
from collections import Counter, deque

from reconcile_runner.controller.reconcile import Failed, Outcome, Request, Succeeded


class FakeReconciler:
    """Implements ``reconcile_runner.controller.reconcile.Reconciler``.

    ``started`` lists every call in order. Answers: those given with ``will`` for a request, one a call, then
    ``outcome``. An exception is raised instead of returned. While held, calls wait for ``release``.
    """

    def __init__(self, outcome: Outcome | None = None) -> None:
        self.outcome: Outcome = outcome or Succeeded()
        self.started: list[Request] = []
        self.told: list[tuple[Request, str]] = []
        self.finished: list[Request] = []
        self.cancelled: list[Request] = []
        self.running: Counter[Request] = Counter()
        self.overlapped: set[Request] = set()
        self._answers: dict[Request, deque[Outcome | BaseException]] = {}
        self._open = asyncio.Event()
        self._open.set()

    def will(self, request: Request, *answers: Outcome | BaseException) -> None:
        self._answers.setdefault(request, deque()).extend(answers)

    def hold(self) -> None:
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    async def tell(self, request: Request, message: str) -> Outcome:
        self.told.append((request, message))
        return Failed(message)

    async def reconcile(self, request: Request) -> Outcome:
        self.started.append(request)
        self.running[request] += 1
        if self.running[request] > 1:
            self.overlapped.add(request)
        try:
            await self._open.wait()
        except asyncio.CancelledError:
            self.cancelled.append(request)
            raise
        finally:
            self.running[request] -= 1
        self.finished.append(request)
        answers = self._answers.get(request)
        answer = answers.popleft() if answers else self.outcome
        if isinstance(answer, BaseException):
            raise answer
        return answer
