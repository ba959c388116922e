"""Which engine runs the jobs."""

from __future__ import annotations

from pathlib import Path

from reconcile_runner.errors import ConfigError
from reconcile_runner.execution.forkserver.engine import ForkserverEngine, unsupported
from reconcile_runner.execution.pool import Engine, SubprocessEngine
from reconcile_runner.logs import get_logger
from reconcile_runner.options import EngineName

_log = get_logger(__name__)


def choose_engine(name: EngineName | None, sources: tuple[Path, ...] = ()) -> Engine:
    """Return the engine of this name, not yet started.

    None: ``forkserver`` where it can be used, else ``subprocess``. ``sources`` are the roles and playbooks to be run,
    whose modules the fork server prepares. Raises ``ConfigError`` where the engine that was asked for cannot be used
    here.
    """
    if name is EngineName.SUBPROCESS:
        return SubprocessEngine()
    problem = unsupported()
    if problem is None:
        return ForkserverEngine(sources=sources)
    if name is EngineName.FORKSERVER:
        raise ConfigError(f"--engine=forkserver cannot be used here: {problem}")
    _log.warning("each run starts an ansible-playbook of its own, which is slower", reason=problem)
    return SubprocessEngine()
