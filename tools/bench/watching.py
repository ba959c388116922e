"""When objects got their status: one watch for each kind, and expectations that are met as its events come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from contextlib import aclosing

from reconcile_runner.apimachinery.objects import KubeObject, ObjectKey, key_of
from reconcile_runner.client import ApiClient, WatchEventType
from reconcile_runner.errors import ApiUnreachableError, GoneError

Test = Callable[[KubeObject], bool]


class Expectation:
    """Objects that are awaited to pass a test, and when each first did (``time.monotonic``)."""

    def __init__(self, keys: Iterable[ObjectKey], test: Test) -> None:
        self.times: dict[ObjectKey, float] = {}
        self._missing = set(keys)
        self._total = len(self._missing)
        self._test = test
        self._met = asyncio.Event()

    @property
    def is_met(self) -> bool:
        """Tell whether every object has passed."""
        return not self._missing

    def see(self, key: ObjectKey, obj: KubeObject, now: float) -> None:
        """Look at the newest state of an object."""
        if key in self._missing and self._test(obj):
            self._missing.discard(key)
            self.times[key] = now
            if not self._missing:
                self._met.set()

    async def within(self, seconds: float) -> dict[ObjectKey, float]:
        """Wait until every object has passed. Raises ``TimeoutError`` that says how many have, and a missing one."""
        try:
            async with asyncio.timeout(seconds):
                await self._met.wait()
        except TimeoutError as error:
            count, example = len(self.times), next(iter(self._missing))
            raise TimeoutError(f"{count} of {self._total} objects after {seconds:.0f} s; missing: {example}") from error
        return self.times


class ObjectWatch:
    """Follows the objects of a path, all namespaces, until its task is cancelled."""

    def __init__(self, client: ApiClient, path: str) -> None:
        self._client = client
        self._path = path
        self._expectations: list[Expectation] = []

    def expect(self, keys: Iterable[ObjectKey], test: Test) -> Expectation:
        """Look out for objects from now on; what they are at the moment does not count."""
        expectation = Expectation(keys, test)
        self._expectations = [one for one in self._expectations if not one.is_met]
        self._expectations.append(expectation)
        return expectation

    async def run(self) -> None:
        """List, then watch, again and again."""
        while True:
            listed = await self._client.get(self._path)
            for obj in listed["items"]:
                self._see(obj)
            params = {"resourceVersion": listed["metadata"]["resourceVersion"], "allowWatchBookmarks": "true"}
            try:
                async with aclosing(self._client.watch(self._path, params)) as events:
                    async for event in events:
                        if event.type in {WatchEventType.ADDED, WatchEventType.MODIFIED}:
                            self._see(event.object)
            except (GoneError, ApiUnreachableError):
                continue

    def _see(self, obj: KubeObject) -> None:
        now, key = time.monotonic(), key_of(obj)
        for expectation in self._expectations:
            expectation.see(key, obj, now)


def happy_is(value: bool | None) -> Test:
    """Return the test whether ``status.happy`` is this; None: whether it is set at all."""

    def test(obj: KubeObject) -> bool:
        happy = obj.get("status", {}).get("happy")
        return happy is not None if value is None else happy is value

    return test


def observed(generation: int) -> Test:
    """Return the test whether the last finished run was for this generation or a later one."""
    return lambda obj: int(obj.get("status", {}).get("observedGeneration", 0)) >= generation
