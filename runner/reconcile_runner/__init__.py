"""Kubernetes events in, runs of Ansible roles out.

A program that embeds the operator uses the names in ``__all__``; all else may change:

    async with Manager(options, load_watches(path)) as manager:
        await manager.serve(stop=event)

An event passes the packages in this order: ``cache``, ``controller``, ``reconciler``, ``execution`` (whose runs talk to
``proxy``, which talks through ``client``). ``manager`` starts and stops all of it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconcile_runner.execution.job import Job, RunResult
    from reconcile_runner.execution.pool import Engine
    from reconcile_runner.manager.manager import Manager
    from reconcile_runner.options import Options
    from reconcile_runner.watches.loader import load_watches
    from reconcile_runner.watches.watch import Watch

__all__ = ["Engine", "Job", "Manager", "Options", "RunResult", "Watch", "__version__", "load_watches"]

__version__ = "0.1.0"

_MODULES = {
    "Engine": "execution.pool",
    "Job": "execution.job",
    "Manager": "manager.manager",
    "Options": "options",
    "RunResult": "execution.job",
    "Watch": "watches.watch",
    "load_watches": "watches.loader",
}

if not TYPE_CHECKING:  # A type checker that saw this function would believe in any name.

    def __getattr__(name: str) -> object:
        """Import a public name when it is asked for.

        A launcher imports this package, and must stay small.
        """
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
