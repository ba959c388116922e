"""A run of nothing at the start, so that the first object does not wait for Ansible to be loaded.

``manager`` starts it beside everything else where the engine is one that keeps what it has loaded. It reads the same
environment as the runs to come, and asks nothing of the cluster.
"""

from __future__ import annotations

from dataclasses import replace

from reconcile_runner.apimachinery.objects import GroupVersionKind, ObjectKey
from reconcile_runner.errors import ExecutionError
from reconcile_runner.execution.job import Job, RunSettings
from reconcile_runner.execution.jobevent import JobEvent
from reconcile_runner.execution.pool import Engine
from reconcile_runner.logs import get_logger
from reconcile_runner.reconciler.inputdir import InputDir

_GVK = GroupVersionKind("", "", "warm-up")
_KEY = ObjectKey("", "start")
_PLAYBOOK = '[{"hosts": "localhost", "gather_facts": false, "tasks": []}]'

_log = get_logger(__name__)


async def warm_up(engine: Engine, inputs: InputDir, settings: RunSettings) -> None:
    """Run an empty playbook with the environment of the runs to come, and leave nothing of it."""
    settings = replace(settings, timeout=None, ansible_args="")
    try:
        directory = inputs.write(_GVK, _KEY, b"{}", "", settings)
        playbook = directory / "project" / "warmup.json"
        playbook.write_text(_PLAYBOOK, encoding="utf-8")
        job = Job("warm-up", directory, playbook, role=None, settings=settings)
        result = await engine.run(job, _ignore)
        _log.debug("warmed up", status=result.status, seconds=round(result.duration, 3))
    except ExecutionError as error:
        _log.debug("could not warm up", error=str(error))
    finally:
        inputs.remove(_GVK, _KEY)


def _ignore(_: JobEvent) -> None:
    """Take no note of an event."""
