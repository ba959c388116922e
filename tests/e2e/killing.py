"""Ends the operator's process in a Pod without a warning, as a lack of memory or a broken machine does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby, pairwise
from typing import Any

from tests.e2e.deployed import GONE_TIMEOUT, Deployed, container_of, pod_of
from tests.e2e.kubectl import KubectlError
from tests.e2e.podlogs import ProcessLog, Run
from tests.support.operator_process import eventually

# Children of process 1, which is the init; it ends with them, and with it, by the kernel, all that is left.
_KILL = """
for status in /proc/[0-9]*/status; do
  if grep -q '^PPid:[[:space:]]*1$' "$status" 2>/dev/null; then
    process=${status%/status}
    kill -9 "${process#/proc/}"
  fi
done
"""


@dataclass(frozen=True)
class Death:
    """A process of the operator's that was killed. At ``seen`` it, and every run of its, had gone.

    ``held`` is its name in the Lease, where it led; else empty.
    """

    pod: str
    seen: datetime
    held: str


def kill(operator: Deployed, pod: str) -> Death:
    """Kill the operator's process in a Pod with SIGKILL, and wait until the kubelet says that the container has ended.

    The kubelet starts it again in the same Pod: at once, here, and not after the wait of a container that crashes
    often.
    """
    eventually(lambda: "running" in container_of(operator.pod(pod)).get("state", {}), f"{pod} to run", GONE_TIMEOUT)
    before = container_of(operator.pod(pod))["containerID"]
    holder = operator.holder()
    try:
        operator.kubectl.execute(operator.namespace, pod, _KILL)
    except KubectlError as error:  # the shell is killed with its container
        if "137" not in str(error):
            raise
    eventually(lambda: _has_ended(operator.pod(pod), before), f"the container of {pod} to end", GONE_TIMEOUT)
    seen = datetime.now(UTC)
    operator.start_again_now(pod)
    return Death(pod, seen, holder if pod_of(holder) == pod else "")


def _has_ended(pod: dict[str, Any], container: str) -> bool:
    status = container_of(pod)
    states = (status.get("state", {}), status.get("lastState", {}))
    return status.get("containerID") != container or any(
        state.get("terminated", {}).get("containerID") == container for state in states
    )


def overlaps(processes: Iterable[ProcessLog], deaths: Sequence[Death]) -> list[str]:
    """Return every two runs of one object that may have acted at the same time.

    A run that a death cut off ends when the container was seen to have ended; one without a death, with the last line
    of its process.
    """
    runs = [(run, _end_of(run, log, deaths)) for log in processes for run in log.runs()]
    runs.sort(key=lambda pair: (pair[0].object, pair[0].start))
    found = []
    for name, group in groupby(runs, key=lambda pair: pair[0].object):
        for (one, end), (other, _) in pairwise(group):
            if other.start < end:
                found.append(f"{name}: {one.process} until {end}, {other.process} from {other.start}")
    return found


def _end_of(run: Run, log: ProcessLog, deaths: Sequence[Death]) -> datetime:
    if run.end is not None:
        return run.end
    after = [death.seen for death in deaths if death.pod == log.pod and death.seen > run.start]
    return min(after, default=log.ended)
