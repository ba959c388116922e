"""What every process of a Deployment logged, those that were killed included, and which runs it had in hand when.

The log of one container is one process: a container that starts again has a new one. Followers read each from its
beginning to its end, so that nothing is lost when a Pod, and its log with it, goes.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from reconcile_devcluster.api import ApiServer
from tests.e2e.kubectl import Kubectl, KubectlError

_CONCLUSIONS = ("reconciled", "reconcile failed", "the object went away during its run")
"""The last message about a run of the process that had it in hand."""

_PAUSE = 0.3
"""Seconds between two looks at which Pods there are; a container takes longer to start."""


@dataclass(frozen=True)
class Run:
    """One run: between these times it may have acted. ``end`` is None where the process was killed under it."""

    object: str
    process: str
    start: datetime
    end: datetime | None


@dataclass
class ProcessLog:
    """The log of one process, oldest line first. ``began`` tells it from others of the same Pod."""

    pod: str
    began: str
    lines: list[dict[str, Any]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.pod} since {self.began}"

    @property
    def identity(self) -> str:
        """What it calls itself in a Lease; empty as long as it has not said so."""
        return next((line["identity"] for line in self.lines if "identity" in line), "")

    @property
    def ended(self) -> datetime:
        """Return when it said the last that is known of it."""
        return max(moment(line["ts"]) for line in self.lines if "ts" in line)

    def messages(self, message: str, **fields: object) -> list[dict[str, Any]]:
        return [
            line
            for line in self.lines
            if line.get("msg") == message and all(line.get(key) == value for key, value in fields.items())
        ]

    def runs(self) -> Iterator[Run]:
        """Yield its runs, each from just before its start to just after its end."""
        ends: dict[str, datetime] = {}
        for line in self.lines:
            if line.get("msg") in _CONCLUSIONS and "reconcile_id" in line:
                ends[line["reconcile_id"]] = moment(line["ts"])
        for line in self.messages("reconciling"):
            name = f"{line['gvk']} {line['namespace']}/{line['name']}"
            yield Run(name, self.name, moment(line["ts"]), ends.get(line["reconcile_id"]))


def moment(text: str) -> datetime:
    """Read a time in UTC, as logs and Leases have it."""
    return datetime.fromisoformat(text)


@dataclass
class PodLogs:
    """The logs of all processes that Pods of some label had while it followed them."""

    kubectl: Kubectl
    api: ApiServer
    namespace: str
    selector: str
    _logs: dict[str, ProcessLog] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _over: threading.Event = field(default_factory=threading.Event)
    _followers: dict[str, threading.Thread] = field(default_factory=dict)

    def processes(self) -> list[ProcessLog]:
        """Return what is known of each process up to now, the first to start first."""
        with self._lock:
            known = list(self._logs.values())
        return sorted(known, key=lambda log: log.began)

    @contextmanager
    def followed(self) -> Iterator[PodLogs]:
        """Follow them until the block ends, which is when every line is there."""
        scout = threading.Thread(target=self._follow_pods, name="Pods whose logs are followed", daemon=True)
        scout.start()
        try:
            yield self
        finally:
            self._over.set()
            scout.join(timeout=60)
            for follower in self._followers.values():
                follower.join(timeout=60)
            for pod in self._pods():
                self._read(pod, "--previous")
                self._read(pod)

    def _pods(self) -> list[str]:
        found = self.api.call("GET", f"/api/v1/namespaces/{self.namespace}/pods?labelSelector={self.selector}")
        return [pod["metadata"]["name"] for pod in found["items"]]

    def _follow_pods(self) -> None:
        while not self._over.is_set():
            for pod in self._pods():
                if pod not in self._followers:
                    follower = threading.Thread(target=self._follow, args=(pod,), name=f"log of {pod}", daemon=True)
                    self._followers[pod] = follower
                    follower.start()
            self._over.wait(_PAUSE)

    def _follow(self, pod: str) -> None:
        """Follow one process after the other, until the Pod is gone."""
        while not self._over.is_set() and pod in self._pods():
            self._read(pod, "--follow")
            self._read(pod, "--previous")
            self._over.wait(_PAUSE)

    def _read(self, pod: str, *how: str) -> None:
        arguments = ("logs", "--namespace", self.namespace, pod, "--timestamps", *how)
        with self.kubectl.started(*arguments) as process:
            if process.stdout is None:
                raise KubectlError("no pipe to kubectl")
            if "--follow" in how:
                threading.Thread(target=self._end, args=(process.kill,), name=f"end of {pod}", daemon=True).start()
            log: ProcessLog | None = None
            known = count = 0
            for text in process.stdout:
                began, _, rest = text.partition(" ")
                if not began[:4].isdigit() or not text.endswith("\n"):
                    continue  # kubectl's own words (no such Pod, not started), or the piece of a line where it ended
                if log is None:
                    log = self._log_of(pod, began)
                    known = len(log.lines)
                count += 1
                if count > known:  # what an earlier reader of the same process has got is not read again
                    log.lines.append(_line(rest))

    def _end(self, kill: Callable[[], None]) -> None:
        self._over.wait()
        kill()

    def _log_of(self, pod: str, began: str) -> ProcessLog:
        with self._lock:
            return self._logs.setdefault(f"{pod} {began}", ProcessLog(pod, began))


def _line(text: str) -> dict[str, Any]:
    try:
        line = json.loads(text)
    except ValueError:
        line = None
    return line if isinstance(line, dict) else {"msg": text.rstrip(), "level": "raw"}
