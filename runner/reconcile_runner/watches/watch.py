"""What `watches.yaml` asks for, checked and typed: one ``Watch`` an entry.

A controller is built for each. No I/O here.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reconcile_runner.apimachinery.fieldpath import FieldPath
from reconcile_runner.apimachinery.labels import EVERYTHING, LabelSelector
from reconcile_runner.apimachinery.objects import GroupVersionKind
from reconcile_runner.cache.event import EventType


class NamespaceScope(enum.StrEnum):
    """Whose objects a trigger's event reconciles."""

    ANY = "any"
    SAME = "same"


@dataclass(frozen=True, slots=True)
class Match:
    """Which objects a trigger's event reconciles.

    Those whose ``field`` equals the event object's ``source``.
    """

    source: FieldPath
    field: FieldPath


@dataclass(frozen=True, slots=True)
class Trigger:
    """Another kind whose events reconcile a watch's objects.

    ``on`` narrows ``updated`` to changes of those paths (``status``, ``metadata.labels`` …); None is the default: any
    change but of ``status`` and of the metadata that the API server keeps for itself.
    """

    gvk: GroupVersionKind
    match: Match
    events: frozenset[EventType] = frozenset(EventType)
    on: tuple[FieldPath, ...] | None = None
    namespace: NamespaceScope = NamespaceScope.ANY

    @property
    def needs_whole_objects(self) -> bool:
        """Tell whether this trigger reads more of its kind than ``metadata``."""
        if not self.match.source.is_metadata:
            return True
        if EventType.UPDATED not in self.events:
            return False
        return self.on is None or not all(path.is_metadata for path in self.on)


@dataclass(frozen=True, slots=True)
class Finalizer:
    """What runs when an object is deleted, before it may go.

    ``name`` stands in ``metadata.finalizers`` for as long as the object is not cleaned up. At most one of ``playbook``
    and ``role`` is set, as in ``Watch``; with neither, the watch's own runs with ``vars``, which come on top of the
    watch's in any case.
    """

    name: str
    playbook: Path | None = None
    role: Path | None = None
    vars: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Watch:
    """One entry of ``watches.yaml``: a kind, and what to run for each of its objects.

    Exactly one of ``playbook`` (absolute path) and ``role`` (absolute path of the role's directory) is set.
    ``reconcile_period`` is in seconds; None: the flag's; 0: never. ``max_runner_artifacts``: runs whose artifacts are
    kept for each object (0 keeps all). ``upstream_status``: write conditions as upstream does. ``failure_backoff_base``
    and ``failure_backoff_cap``: seconds before the first retry and before the latest; None: the flags'. Of dependents,
    those of a kind in ``blacklist`` are not watched, and cluster-scoped ones that only an annotation ties to their
    owner just where ``watch_cluster_scoped_resources``. Defaults are upstream's, but for ``mark_unsafe``.
    """

    gvk: GroupVersionKind
    playbook: Path | None = None
    role: Path | None = None
    vars: dict[str, Any] = field(default_factory=dict)
    reconcile_period: float | None = None
    max_runner_artifacts: int = 20
    manage_status: bool = True
    upstream_status: bool = False
    snake_case_parameters: bool = True
    mark_unsafe: bool = True
    watch_annotations_changes: bool = False
    selector: LabelSelector = EVERYTHING
    finalizer: Finalizer | None = None
    failure_backoff_base: float | None = None
    failure_backoff_cap: float | None = None
    watch_dependent_resources: bool = True
    watch_cluster_scoped_resources: bool = False
    blacklist: frozenset[GroupVersionKind] = frozenset()
    triggers: tuple[Trigger, ...] = ()

    @property
    def contents(self) -> tuple[Path, ...]:
        """Return the role and playbooks that it runs, its finalizer's among them."""
        own = (self.playbook, self.role)
        last = (self.finalizer.playbook, self.finalizer.role) if self.finalizer else ()
        return tuple(path for path in (*own, *last) if path)

    @property
    def controller_name(self) -> str:
        """Return the name in metrics and logs.

        It holds the group, so that two groups may share a kind.
        """
        kind, version, group = self.gvk.kind.lower(), self.gvk.version, self.gvk.group
        return f"{kind}-{version}-{group}-controller" if group else f"{kind}-{version}-controller"
