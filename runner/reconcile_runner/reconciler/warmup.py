"""An empty run at the start: it tells what would let every run fail, and no object waits for Ansible to load.

It has the environment and the arguments of the runs to come, and sends no request to the cluster.
"""

from __future__ import annotations

from dataclasses import replace

from reconcile_runner.apimachinery.objects import GroupVersionKind, ObjectKey
from reconcile_runner.errors import ExecutionError, RunLostError
from reconcile_runner.execution.job import Job, RunSettings, new_ident
from reconcile_runner.execution.jobevent import JobEvent
from reconcile_runner.execution.pool import Engine
from reconcile_runner.logs import get_logger
from reconcile_runner.reconciler.inputdir import InputDir

_GVK = GroupVersionKind("", "", "warm-up")
_KEY = ObjectKey("", "start")
_PLAYBOOK = '[{"hosts": "localhost", "gather_facts": false, "tasks": []}]'

_log = get_logger(__name__)


async def warm_up(engine: Engine, inputs: InputDir, settings: RunSettings) -> None:
    """Run an empty playbook as runs are run, and log why it failed."""
    settings = replace(settings, timeout=None)
    try:
        directory = inputs.write(_GVK, _KEY, b"{}", "", settings)
        playbook = directory / "project" / "warmup.json"
        playbook.write_text(_PLAYBOOK, encoding="utf-8")
        job = Job(new_ident(), directory, playbook, role=None, settings=settings)
        result = await engine.run(job, _ignore)
    except RunLostError as error:
        _log.debug("could not warm up", error=str(error))
    except ExecutionError as error:
        _tell_failure(str(error))
    else:
        _log.debug("warmed up", status=result.status, seconds=round(result.duration, 3))
        if not result.succeeded:
            _tell_failure(result.message)
    finally:
        inputs.remove(_GVK, _KEY)


def _tell_failure(reason: str) -> None:
    _log.error("an empty playbook cannot be run, so every run will fail", error=reason)


def _ignore(_: JobEvent) -> None:
    """Ignore an event."""
