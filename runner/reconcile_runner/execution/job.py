"""One run of a role or playbook: what the engine is given, and what it gives back.

``reconciler`` makes a ``Job``, an engine of ``execution`` runs it and returns a ``RunResult``, and ``status`` turns
that into conditions. No I/O here.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path


class RunStatus(enum.StrEnum):
    """How a run ended."""

    SUCCESSFUL = "successful"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELED = "canceled"


@dataclass(frozen=True, slots=True)
class ServedApi:
    """The API that a run talks to: ``url`` as its kubeconfig has it, ``kinds`` a word for what is served there."""

    url: str
    kinds: str


@dataclass(frozen=True, slots=True)
class Job:
    """What to run, once its private data directory has been written.

    ``ident`` names the run (the ``job`` key in logs). ``timeout`` is in seconds, None for none. Exactly one of
    ``playbook`` and ``role`` is set, both absolute. ``api`` is None where it is not known what is served: the run finds
    that out for itself.
    """

    ident: str
    private_data_dir: Path
    playbook: Path | None
    role: Path | None
    verbosity: int = 2
    timeout: float | None = None
    gather_facts: bool = True
    api: ServedApi | None = None


@dataclass(frozen=True, slots=True)
class TaskFailure:
    """A task that failed and was neither rescued nor ignored. ``path`` is ``file:line``, empty where unknown."""

    task: str
    message: str
    path: str = ""


@dataclass(frozen=True, slots=True)
class RunStats:
    """Ansible's counts for the run's host, as upstream's ``ansibleResult`` has them."""

    ok: int = 0
    changed: int = 0
    skipped: int = 0
    failures: int = 0


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run went.

    ``stats`` is None where the run ended before Ansible could count (a syntax error, a kill). ``message`` says why a
    run did not succeed, for people; empty on success. ``duration`` is in seconds. ``requeue_after``: the seconds after
    which the role asked to be run again, or None.
    """

    status: RunStatus
    stats: RunStats | None = None
    failures: tuple[TaskFailure, ...] = ()
    message: str = ""
    duration: float = 0.0
    requeue_after: float | None = None

    @property
    def succeeded(self) -> bool:
        """Tell whether the role brought its object to the desired state."""
        return self.status is RunStatus.SUCCESSFUL
