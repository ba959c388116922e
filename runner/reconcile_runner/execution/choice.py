"""Which engine runs the jobs."""

from __future__ import annotations

from pathlib import Path

from reconcile_runner.errors import ConfigError
from reconcile_runner.execution.forkserver.engine import ForkserverEngine, unsupported
from reconcile_runner.execution.installation import Installation, own_installation
from reconcile_runner.execution.pool import Engine, SubprocessEngine
from reconcile_runner.execution.rundeadline import RunDeadline
from reconcile_runner.logs import get_logger
from reconcile_runner.options import EngineName

_log = get_logger(__name__)


def choose_engine(
    name: EngineName | None,
    sources: tuple[Path, ...] = (),
    installation: Installation | None = None,
    hidden: tuple[str, ...] | None = None,
    deadline: RunDeadline | None = None,
) -> Engine:
    """Return the engine of this name, not yet started.

    None: ``forkserver`` where it can be used, else ``subprocess``. ``sources`` are the roles and playbooks to be run,
    whose modules the fork server prepares. ``installation`` is what runs use; None: the operator's own. ``hidden`` are
    the files that runs must not read; None: runs are not confined. ``deadline`` is that of all runs; None: they have
    none but their own. Raises ``ConfigError`` where the engine that was asked for cannot be used here. Blocks.
    """
    installation = installation or own_installation()
    binary = None if installation.is_own else Path(installation.program)
    if not installation.is_own:
        _log.info(
            "runs use the ansible-playbook of another environment",
            path=installation.program,
            ansible_core=installation.core,
            python=".".join(map(str, installation.python)),
        )
    if name is EngineName.SUBPROCESS:
        return SubprocessEngine(binary, hidden=hidden, deadline=deadline)
    problem = unsupported(installation)
    if problem is None:
        return ForkserverEngine(binary, sources=sources, hidden=hidden, deadline=deadline)
    if name is EngineName.FORKSERVER:
        raise ConfigError(f"--engine=forkserver cannot be used here: {problem}")
    _log.warning("each run starts an ansible-playbook of its own, which is slower", reason=problem)
    return SubprocessEngine(binary, hidden=hidden, deadline=deadline)
