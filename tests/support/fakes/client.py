"""A typed fake of ``ApiClient``: an API server in memory, its faults and watches in the test's hands.

- Objects: ``put(path, obj)`` stores one; ``get``/``patch``/``post``/``delete`` then work on it as the real server does
  (404 where there is none, 409 for a second create, merge patches, a new resourceVersion for each change).
- Lists and anything else: ``answer(path, first, second, …)`` programs the answers of ``get`` in order; the last one
  stays. An exception among them is raised.
- Reviews and other kinds that are only ever created: ``on_create(path, answer)`` says what a POST is answered with.
- Faults: ``fail(method, path, error)`` raises once (``times=…``) before anything else is looked at.
- Watches: every ``watch`` appears in ``watches``; ``await opened(path)`` waits for the next one, which the test then
  feeds: ``send``, ``end``, ``fail``.
- ``calls`` holds every request in order.
"""

from __future__ import annotations

import asyncio
import copy
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from reconcile_runner.apimachinery.objects import KubeObject
from reconcile_runner.client import ACCEPT_JSON, PatchBody, PatchType, WatchEvent, WatchEventType
from reconcile_runner.errors import ConflictError, NotFoundError


@dataclass(frozen=True, slots=True)
class Call:
    """One request as the client was asked for it."""

    method: str
    path: str
    params: dict[str, str] = field(default_factory=dict)
    body: PatchBody | None = None
    accept: str = ACCEPT_JSON
    patch_type: PatchType | None = None


class FakeWatch:
    """One open watch."""

    def __init__(self, path: str, params: dict[str, str], accept: str) -> None:
        self.path = path
        self.params = params
        self.accept = accept
        self.closed = False
        self._items: asyncio.Queue[WatchEvent | Exception | None] = asyncio.Queue()

    def send(self, event_type: WatchEventType, obj: KubeObject) -> None:
        self._items.put_nowait(WatchEvent(event_type, copy.deepcopy(obj)))

    def bookmark(self, resource_version: str) -> None:
        self.send(WatchEventType.BOOKMARK, {"metadata": {"resourceVersion": resource_version}})

    def end(self) -> None:
        """End the stream as a server does whose timeoutSeconds have passed."""
        self._items.put_nowait(None)

    def fail(self, error: Exception) -> None:
        """Break the stream."""
        self._items.put_nowait(error)

    async def events(self) -> AsyncGenerator[WatchEvent, None]:
        try:
            while (item := await self._items.get()) is not None:
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            self.closed = True


class FakeClient:
    """Implements ``ApiClient``."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.watches: list[FakeWatch] = []
        self.objects: dict[str, KubeObject] = {}
        self._answers: dict[str, deque[KubeObject | Exception]] = {}
        self._on_post: dict[str, Callable[[KubeObject], KubeObject]] = {}
        self._faults: dict[tuple[str, str], deque[Exception]] = defaultdict(deque)
        self._resource_version = 100
        self._opened = asyncio.Condition()
        self._taken = 0

    def put(self, path: str, obj: KubeObject) -> KubeObject:
        """Store an object under its path, with a new resourceVersion; return what is stored."""
        return self._store(path, obj)

    def answer(self, path: str, *answers: KubeObject | Exception) -> None:
        """Program what ``get`` of a path says, in order; the last answer stays."""
        self._answers[path] = deque(answers)

    def on_create(self, path: str, answer: Callable[[KubeObject], KubeObject]) -> None:
        """Answer every POST to a path with what ``answer`` makes of its body; nothing is stored."""
        self._on_post[path] = answer

    def fail(self, method: str, path: str, error: Exception, *, times: int = 1) -> None:
        """Raise ``error`` for the next ``times`` requests; ``method`` in capitals, or WATCH."""
        self._faults[method, path].extend([error] * times)

    def calls_of(self, method: str, path: str | None = None) -> list[Call]:
        return [call for call in self.calls if call.method == method and path in (None, call.path)]

    async def opened(self, path: str | None = None) -> FakeWatch:
        """Wait for the next watch that no call of this method has returned yet."""
        async with self._opened:
            await self._opened.wait_for(lambda: len(self.watches) > self._taken)
        watch = self.watches[self._taken]
        self._taken += 1
        assert path in (None, watch.path), f"expected a watch of {path}, got {watch.path}"
        return watch

    async def etag(self, path: str, *, accept: str, known: str = "") -> str:
        """Return what ``answer`` says is at the path, as a tag; empty where nothing is."""
        self._called(Call("GET", path, accept=accept))
        await asyncio.sleep(0)
        answer = self._next_answer(path)
        return "" if answer is None else str(answer)

    async def get(self, path: str, params: Mapping[str, str] | None = None, *, accept: str = ACCEPT_JSON) -> KubeObject:
        self._called(Call("GET", path, dict(params or {}), accept=accept))
        await asyncio.sleep(0)
        answer = self._next_answer(path)
        return copy.deepcopy(self._existing(path) if answer is None else answer)

    def _next_answer(self, path: str) -> KubeObject | None:
        """Return what ``answer`` has next for a path, or raise it; None where it has nothing."""
        answers = self._answers.get(path)
        if not answers:
            return None
        answer = answers.popleft() if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def create(self, path: str, body: KubeObject, *, params: Mapping[str, str] | None = None) -> KubeObject:
        self._called(Call("POST", path, dict(params or {}), body))
        await asyncio.sleep(0)
        if path in self._on_post:
            return copy.deepcopy(self._on_post[path](body))
        own_path = f"{path}/{body.get('metadata', {}).get('name', '')}"
        if own_path in self.objects:
            raise ConflictError(409, "AlreadyExists", f"{own_path} already exists")
        return copy.deepcopy(self._store(own_path, body))

    async def patch(
        self,
        path: str,
        body: PatchBody,
        *,
        patch_type: PatchType = PatchType.MERGE,
        params: Mapping[str, str] | None = None,
    ) -> KubeObject:
        self._called(Call("PATCH", path, dict(params or {}), body, patch_type=patch_type))
        await asyncio.sleep(0)
        own_path = path.removesuffix("/status")
        current = self._existing(own_path)
        if isinstance(body, list):
            raise NotImplementedError("the fake knows no JSON patches")
        asked = body.get("metadata", {}).get("resourceVersion")
        if asked is not None and asked != current["metadata"]["resourceVersion"]:
            raise ConflictError(409, "Conflict", f"{own_path}: the object has been modified")
        return copy.deepcopy(self._store(own_path, merge_patch(current, body)))

    async def update(self, path: str, body: KubeObject) -> KubeObject:
        self._called(Call("PUT", path, {}, body))
        await asyncio.sleep(0)
        current = self.objects.get(path)
        if current is None or current["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"]:
            raise ConflictError(409, "Conflict", f"{path}: the object has been modified")
        return copy.deepcopy(self._store(path, body))

    async def delete(self, path: str, *, params: Mapping[str, str] | None = None) -> KubeObject:
        self._called(Call("DELETE", path, dict(params or {})))
        await asyncio.sleep(0)
        self._existing(path)
        del self.objects[path]
        return {"kind": "Status", "apiVersion": "v1", "status": "Success"}

    async def watch(
        self,
        path: str,
        params: Mapping[str, str],
        *,
        accept: str = ACCEPT_JSON,
        stall_timeout: float = 70.0,
        on_open: Callable[[], None] | None = None,
    ) -> AsyncGenerator[WatchEvent, None]:
        self._called(Call("WATCH", path, dict(params), accept=accept))
        watch = FakeWatch(path, dict(params), accept)
        async with self._opened:
            self.watches.append(watch)
            self._opened.notify_all()
        if on_open is not None:
            on_open()
        async for event in watch.events():
            yield event

    def _called(self, call: Call) -> None:
        self.calls.append(call)
        faults = self._faults[call.method, call.path]
        if faults:
            raise faults.popleft()

    def _existing(self, path: str) -> KubeObject:
        if path not in self.objects:
            raise NotFoundError(404, "NotFound", f"{path} not found")
        return self.objects[path]

    def _store(self, path: str, obj: KubeObject) -> KubeObject:
        self._resource_version += 1
        stored: KubeObject = copy.deepcopy(obj)
        stored.setdefault("metadata", {})["resourceVersion"] = str(self._resource_version)
        self.objects[path] = stored
        return stored


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged
