"""How one run happens: input directory, extra vars, engine, job events, result.

``reconciler`` makes the extra vars (``extravars``), has them written with everything else that Ansible reads
(``inputdir``), and hands a job to an engine (``engine``), which drives ``launcher`` processes (``launcherprocess``).
Their events come back typed (``jobevent``) and folded into a result (``runfold``).

The public names are imported when they are first asked for: a launcher is a module of this package, and must not load
what only the operator needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runner.execution.engine import Engine, SubprocessEngine
    from runner.execution.extravars import ExtraVars, ExtraVarsError, make_extra_vars
    from runner.execution.forkserver.engine import ForkserverEngine
    from runner.execution.inputdir import InputDir, RunInputs
    from runner.execution.jobevent import EventKind, JobEvent
    from runner.execution.phases import RunPhases
    from runner.execution.runnerdir import RunnerDir

__all__ = [
    "Engine",
    "EventKind",
    "ExtraVars",
    "ExtraVarsError",
    "ForkserverEngine",
    "InputDir",
    "JobEvent",
    "RunInputs",
    "RunPhases",
    "RunnerDir",
    "SubprocessEngine",
    "make_extra_vars",
]

_HOMES = {
    "Engine": "engine",
    "EventKind": "jobevent",
    "ExtraVars": "extravars",
    "ExtraVarsError": "extravars",
    "ForkserverEngine": "forkserver.engine",
    "InputDir": "inputdir",
    "JobEvent": "jobevent",
    "RunInputs": "inputdir",
    "RunPhases": "phases",
    "RunnerDir": "runnerdir",
    "SubprocessEngine": "engine",
    "make_extra_vars": "extravars",
}


if not TYPE_CHECKING:  # a type checker would take any name for one of this package

    def __getattr__(name: str) -> object:
        """Return a public name of this package, importing the module that defines it."""
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
