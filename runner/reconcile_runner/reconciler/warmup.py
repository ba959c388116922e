"""A run of nothing at the start, so that the first object does not wait for Ansible to be loaded.

``manager`` starts it beside everything else where the engine is one that keeps what it has loaded. It reads the same
environment as the runs to come, and asks nothing of the cluster.
"""

from __future__ import annotations

from collections.abc import Mapping

from reconcile_runner.apimachinery.objects import GroupVersionKind, ObjectKey
from reconcile_runner.errors import ExecutionError
from reconcile_runner.execution.job import Job
from reconcile_runner.execution.jobevent import JobEvent
from reconcile_runner.execution.pool import Engine
from reconcile_runner.logs import get_logger
from reconcile_runner.reconciler.inputdir import InputDir, RunInputs

_PLACE = GroupVersionKind("", "", "rehearsal")
_KEY = ObjectKey("", "start")
_PLAYBOOK = '[{"hosts": "localhost", "gather_facts": false, "tasks": []}]'

_log = get_logger(__name__)


async def warm_up(engine: Engine, inputs: InputDir, environment: Mapping[str, str], verbosity: int) -> None:
    """Run an empty playbook with the environment of the runs to come, and leave nothing of it."""
    try:
        directory = inputs.write(_PLACE, _KEY, RunInputs(extra_vars=b"{}", kubeconfig="", env=environment))
        playbook = directory / "project" / "rehearsal.json"
        playbook.write_text(_PLAYBOOK, encoding="utf-8")
        job = Job("rehearsal", directory, playbook, role=None, verbosity=verbosity, gather_facts=False)
        result = await engine.run(job, _ignore)
        _log.debug("rehearsed", status=result.status, seconds=round(result.duration, 3))
    except ExecutionError as error:
        _log.debug("could not warm_up", error=str(error))
    finally:
        inputs.remove(_PLACE, _KEY)


def _ignore(_: JobEvent) -> None:
    """Take no note of an event."""
