"""Bodies of runs' requests: how many bytes of them are in memory at a time, and where they are worked on.

What one run sends costs itself: a body has a greatest size, all bodies together have one, and one run has a share of
that. What takes long is done in threads, one for a run at a time, so that the event loop answers everybody else.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Final, ParamSpec, TypeVar

from aiohttp import web

from reconcile_runner.errors import ApiError
from reconcile_runner.proxy.tokens import ProxiedRun

MAX_BODY_BYTES: Final = 3 * 2**20
"""Bytes of a body that is read as a whole, which is kube-apiserver's limit of an object that is written."""
MAX_HELD_BYTES: Final = 16 * MAX_BODY_BYTES
"""Bytes of all bodies that are held; further ones are left with their senders until there is room."""
MAX_HELD_BYTES_OF_RUN: Final = 4 * MAX_BODY_BYTES
"""As ``MAX_HELD_BYTES``, of one run's."""
BODY_TIMEOUT: Final = 60.0
"""Seconds in which a body must arrive, which is kube-apiserver's limit of a whole request."""
INLINE_BYTES: Final = 2**14
"""Bytes of a body up to which it is decoded in the event loop, which takes no longer than to change the thread."""
THREADS: Final = 2
"""Bodies that are worked on at a time."""

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


@dataclass(eq=False, slots=True)
class _Waiter:
    run: str
    count: int
    granted: asyncio.Event = field(default_factory=asyncio.Event)


class HeldBytes:
    """Hands out ``total`` bytes, and ``share`` of them at most to one run.

    Who asked first gets them first, but a run that has its share is passed over. ``share`` is at least what is asked
    for at a time.
    """

    def __init__(self, total: int = MAX_HELD_BYTES, share: int = MAX_HELD_BYTES_OF_RUN) -> None:
        self._total = total
        self._share = share
        self._held: Counter[str] = Counter()
        self._waiting: list[_Waiter] = []

    @property
    def held(self) -> int:
        """Return how many bytes are handed out."""
        return self._held.total()

    @asynccontextmanager
    async def hold(self, run: str, count: int) -> AsyncIterator[None]:
        """Wait for ``count`` bytes, and hold them while the block runs."""
        waiter = _Waiter(run, count)
        self._waiting.append(waiter)
        self._grant()
        try:
            await waiter.granted.wait()
            yield
        finally:
            if waiter.granted.is_set():
                self._held[run] -= count
                if not self._held[run]:
                    del self._held[run]
            else:
                self._waiting.remove(waiter)
            self._grant()

    def _grant(self) -> None:
        """Give those their bytes for whom there are enough; nobody overtakes one who only waits for others' runs."""
        for waiter in list(self._waiting):
            if self._held[waiter.run] + waiter.count > self._share:
                continue
            if self.held + waiter.count > self._total:
                break
            self._held[waiter.run] += waiter.count
            self._waiting.remove(waiter)
            waiter.granted.set()


class Intake:
    """The bodies of one proxy's requests. ``timeout`` is in seconds."""

    def __init__(self, held: HeldBytes | None = None, timeout: float = BODY_TIMEOUT) -> None:
        self._held = held or HeldBytes()
        self._timeout = timeout
        self._threads = ThreadPoolExecutor(THREADS, "body of a run")

    def close(self) -> None:
        """Start no further work in threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    @asynccontextmanager
    async def body(self, request: web.Request, run: ProxiedRun) -> AsyncIterator[bytes]:
        """Yield a request's whole body; it counts among the bytes that are held while the block runs.

        Raises ``ApiError``: 413 for more than ``MAX_BODY_BYTES``, 408 where it does not arrive in time, 400 where it
        breaks the rules of HTTP.
        """
        size = request.content_length if request.content_length is not None else MAX_BODY_BYTES
        if not request.can_read_body:
            size = 0
        if size > MAX_BODY_BYTES:
            raise _too_large()
        async with self._held.hold(run.token, size):
            yield await self._read(request)

    async def aside(
        self,
        run: ProxiedRun,
        function: Callable[_Parameters, _Result],
        *args: _Parameters.args,
        **kwargs: _Parameters.kwargs,
    ) -> _Result:
        """Return what a function returns in a thread; of one run, one at a time.

        A thread cannot be ended. So cancelling waits for its end: what it works on counts until then.
        """
        async with run.working:
            work = asyncio.get_running_loop().run_in_executor(self._threads, partial(function, *args, **kwargs))
            try:
                return await asyncio.shield(work)
            except asyncio.CancelledError:
                await asyncio.wait([work])
                raise

    async def _read(self, request: web.Request) -> bytes:
        body = bytearray()
        try:
            async with asyncio.timeout(self._timeout):
                async for chunk in request.content.iter_any():
                    body += chunk
                    if len(body) > MAX_BODY_BYTES:
                        raise _too_large()
        except TimeoutError as error:
            message = f"the body did not arrive in {self._timeout:g} s"
            raise ApiError(HTTPStatus.REQUEST_TIMEOUT, "Timeout", message) from error
        except web.RequestPayloadError as error:
            raise ApiError(HTTPStatus.BAD_REQUEST, "BadRequest", "the body breaks the rules of HTTP") from error
        return bytes(body)


def _too_large() -> ApiError:
    message = f"Request entity too large: limit is {MAX_BODY_BYTES}"
    return ApiError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "RequestEntityTooLarge", message)
