"""Random changes of Foos and of their friends, and what must be true of every Foo when they are over.

Seeded: a test that fails can be told what it did. The friends are Pods that nobody schedules: they cost a node nothing.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.support.operator_process import Kube, eventually, foo_path

_SETTLED_TIMEOUT = 600.0
"""Seconds. Never a measure of speed: a machine may have much else to do."""


@dataclass
class Village:
    """Foos and Pods in a namespace of their own, which nobody else changes."""

    kube: Kube
    namespace: str
    seed: int
    foos: set[str] = field(default_factory=set)
    pods: set[str] = field(default_factory=set)
    changes: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311 tests, not secrets
        self._friends = [f"{self.namespace}-friend-{number}" for number in range(8)]

    def populate(self, count: int) -> None:
        """Create so many Foos, each with some friend."""
        for _ in range(count):
            self._create_foo()

    def change(self) -> None:
        """Make one change: a Foo's friend most often; else a Foo or a Pod that comes or goes."""
        actions: list[Callable[[], None]] = [self._befriend, self._create_foo, self._toggle_pod]
        if len(self.foos) > 1:
            actions.append(self._delete_foo)
        weights = [6, 1, 2, 1][: len(actions)]
        self._random.choices(actions, weights)[0]()
        self.changes += 1

    def _befriend(self) -> None:
        self.kube.patch_foo(self.namespace, self._one(self.foos), self._one(self._friends))

    def _create_foo(self) -> None:
        name = f"foo-{self.changes}-{len(self.foos)}"
        self.kube.create_foo(self.namespace, name, self._one(self._friends))
        self.foos.add(name)

    def _delete_foo(self) -> None:
        name = self._one(self.foos)
        self.kube.delete_foo(self.namespace, name)
        self.foos.discard(name)

    def _toggle_pod(self) -> None:
        name = self._one(self._friends)
        if name in self.pods:
            self.kube.delete_pod(self.namespace, name)
            self.pods.discard(name)
        else:
            create_unscheduled_pod(self.kube, self.namespace, name)
            self.pods.add(name)

    def _one(self, names: set[str] | list[str]) -> str:
        return self._random.choice(sorted(names))

    def wrong(self) -> list[str]:
        """Return what is not as it must be in the end, a line a Foo."""
        found = {
            item["metadata"]["name"]: item for item in self.kube.api.call("GET", foo_path(self.namespace))["items"]
        }
        missing = [f"{name} is not there" for name in self.foos ^ found.keys()]
        return missing + [text for name in self.foos & found.keys() if (text := self._wrong_with(found[name]))]

    def _wrong_with(self, foo: dict[str, Any]) -> str:
        status, name = foo.get("status", {}), foo["metadata"]["name"]
        ready: dict[str, str] = next((one for one in status.get("conditions", []) if one["type"] == "Ready"), {})
        is_right = (
            status.get("happy") is (foo["spec"]["name"] in self.pods)
            and status.get("observedGeneration") == foo["metadata"]["generation"]
            and ready.get("status") == "True"
        )
        return "" if is_right else f"{name} of {foo['spec']['name']}: {status}"

    def settles(self) -> None:
        """Wait until every Foo is right, and fail with those that do not become so."""
        wrong: list[str] = []

        def all_are_right() -> bool:
            wrong[:] = self.wrong()
            return not wrong

        try:
            eventually(all_are_right, f"the Foos of {self.namespace}", _SETTLED_TIMEOUT)
        except Exception as error:
            raise AssertionError(f"{error} (seed {self.seed}), of {len(self.foos)}: {wrong}") from error


def create_unscheduled_pod(kube: Kube, namespace: str, name: str) -> None:
    spec = {"schedulerName": "nobody", "containers": [{"name": "c", "image": "none"}]}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
    kube.api.call("POST", f"/api/v1/namespaces/{namespace}/pods", body)
