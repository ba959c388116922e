"""A job: what an engine is given to run, and the result that it returns."""

from __future__ import annotations

import enum
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from reconcile_runner.options import LogEvents


class RunStatus(enum.StrEnum):
    """How a run ended."""

    SUCCESSFUL = "successful"
    FAILED = "failed"
    TIMED_OUT = "timed_out"


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How a role or playbook is run, whatever the object.

    - ``verbosity``: number of ``-v``
    - ``timeout``: seconds after which a run is ended; None: never
    - ``gather_facts``: whether the play around a role gathers facts first
    - ``ansible_args``: more options for ``ansible-playbook``, in shell syntax
    - ``environment``: environment variables, on top of the operator's own
    - ``max_artifacts``: runs of an object whose artifacts are kept, the next one among them; 0: all
    - ``log_events``: which events of a run are logged
    """

    verbosity: int = 2
    timeout: float | None = None
    gather_facts: bool = True
    ansible_args: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    max_artifacts: int = 20
    log_events: LogEvents = LogEvents.TASKS


@dataclass(frozen=True, slots=True)
class ServedApi:
    """The API that a run uses.

    ``url`` is as in the run's kubeconfig, ``kinds`` the ETag of the kinds that are served there.
    """

    url: str
    kinds: str


def new_ident() -> str:
    """Return an ident that no other run has: a run's processes are found by it, on the whole machine."""
    return str(secrets.randbelow(2**63))


@dataclass(frozen=True, slots=True)
class Job:
    """One run of a role or playbook, whose private data directory is complete.

    ``ident`` names the run (the ``job`` key in logs). Exactly one of ``playbook`` and ``role`` is set, both absolute.
    ``api`` is None where the ETag of the kinds is not known: the run then discovers the kinds itself.
    """

    ident: str
    private_data_dir: Path
    playbook: Path | None
    role: Path | None
    settings: RunSettings = field(default_factory=RunSettings)
    api: ServedApi | None = None


@dataclass(frozen=True, slots=True)
class TaskFailure:
    """A task that failed. As text it is one message: the task, where it is, and why it failed.

    ``path`` is ``file:line``, empty where it is not known; ``host`` is empty for the run's own host.
    """

    task: str
    message: str
    path: str = ""
    host: str = ""

    def __str__(self) -> str:
        """Return the message of this failure."""
        place = ", ".join(filter(None, [self.path, f"host {self.host}" if self.host else ""]))
        return f"{self.task} ({place}): {self.message}" if place else f"{self.task}: {self.message}"


@dataclass(frozen=True, slots=True)
class RunStats:
    """Ansible's counts, as upstream's ``ansibleResult`` has them: those of the run's host.

    ``failures`` are those of all hosts, and hosts that were unreachable are among them.
    """

    ok: int = 0
    changed: int = 0
    skipped: int = 0
    failures: int = 0


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run went.

    ``stats`` is None where the run ended before Ansible could count (a syntax error, a kill). ``message`` says why a
    run did not succeed, for people; empty on success. ``duration`` is in seconds. ``requeue_after``: the seconds after
    which the role asked to be run again, or None. ``has_begun``: whether a task was started. ``lost_statuses`` are
    writes of a status that failed and whose failure the role ignores.
    """

    status: RunStatus
    stats: RunStats | None = None
    failures: tuple[TaskFailure, ...] = ()
    message: str = ""
    duration: float = 0.0
    requeue_after: float | None = None
    has_begun: bool = True
    lost_statuses: tuple[TaskFailure, ...] = ()

    @property
    def succeeded(self) -> bool:
        """Tell whether the role brought its object to the desired state."""
        return self.status is RunStatus.SUCCESSFUL
