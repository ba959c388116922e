"""Leader election: of several operators with one Lease, one acts.

``join`` gives a ``Leadership``: when workers may start, and whether they still may. ``elector`` campaigns for the Lease
and holds it, ``lease`` reads and writes its record, ``deadline`` ends a process that outlives its lease.
Reference for users: docs/operating.md.
"""

from __future__ import annotations

import asyncio
import socket
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final, Protocol

from reconcile_runner.client import connect
from reconcile_runner.client.config import SERVICE_ACCOUNT
from reconcile_runner.clock import Clock
from reconcile_runner.errors import ConfigError
from reconcile_runner.leaderelection.deadline import KernelTimer
from reconcile_runner.leaderelection.elector import Elector
from reconcile_runner.metrics import Metrics
from reconcile_runner.options import Options

__all__ = ["Elector", "Leadership", "Unopposed", "join"]

NAMESPACE_FILE: Final = SERVICE_ACCOUNT / "namespace"


class Leadership(Protocol):
    """Whether this operator acts."""

    @property
    def is_lost(self) -> bool:
        """Tell whether it led and leads no more: then it must end."""

    def is_leading(self) -> bool:
        """Tell whether it may act at this very moment."""

    async def wait_elected(self) -> None:
        """Wait until it leads for the first time."""

    async def run(self) -> None:
        """Campaign, then hold what was won; ends when it is lost.

        Cancel it when nothing acts any more.
        """


class Unopposed:
    """The leadership of an operator without leader election."""

    is_lost = False

    def is_leading(self) -> bool:
        """Return True."""
        return True

    async def wait_elected(self) -> None:
        """Return at once."""

    async def run(self) -> None:
        """Wait to be cancelled."""
        await asyncio.Event().wait()


@asynccontextmanager
async def join(
    options: Options,
    metrics: Metrics,
    clock: Clock,
    on_loss: Callable[[], None],
    extend_runs: Callable[[float], None],
    *,
    namespace_file: Path = NAMESPACE_FILE,
) -> AsyncIterator[Leadership]:
    """Yield the leadership that the options ask for.

    The Lease is released at the end of the block, so that must come after the end of the last run. ``on_loss`` is
    called once when leadership is lost; what it starts must end every run without delay. ``extend_runs`` is called at
    each renewal, with the seconds for which runs may live; it must hold without this process. The election has
    connections of its own: no number of other requests can keep a renewal waiting.

    Raises ``ConfigError`` where the Lease's namespace is not known, and as ``connect`` does.
    """
    settings = options.election
    if settings is None:
        yield Unopposed()
        return
    namespace = settings.namespace or _own_namespace(namespace_file)
    async with AsyncExitStack() as parts:
        client = await parts.enter_async_context(
            await connect(options.kubeconfig, clock=clock, observe=metrics.request_finished)
        )
        elector = Elector(client, settings, namespace, new_identity(), clock, KernelTimer(extend_runs), on_loss)
        metrics.show_leadership(settings.name, elector.is_leading)
        parts.push_async_callback(elector.release)
        yield elector


def new_identity() -> str:
    """Return a name for this process that no other has, in controller-runtime's form.

    The next process in this Pod has another one, too.
    """
    return f"{socket.gethostname()}_{uuid.uuid4()}"


def _own_namespace(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(
            f"--leader-election-namespace: found none, expected the namespace of the Lease, which is known by itself "
            f"only in a Pod ({file}: {error.strerror})"
        ) from error
