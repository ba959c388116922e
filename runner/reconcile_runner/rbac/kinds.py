"""How kinds are served: plural, scope and subresources.

Kinds come from CRDs in a directory, from a cluster's discovery, or from the table of ``builtin``; what none of them
knows is guessed as client-go does, and said. Versions do not matter: rights have none.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from reconcile_runner.apimachinery.objects import GroupVersionKind
from reconcile_runner.client.discovery import Resource
from reconcile_runner.content.builtin import builtin_resources
from reconcile_runner.content.crds import defined_kinds
from reconcile_runner.content.unknowns import Place, Unknowns


class KindTable:
    """How each known kind is served.

    Of two resources of one kind, the first one counts.
    """

    def __init__(self, resources: Iterable[Resource], unknowns: Unknowns) -> None:
        self._unknowns = unknowns
        self._by_kind: dict[tuple[str, str], Resource] = {}
        self._by_name: dict[str, list[Resource]] = {}
        for resource in (*resources, *builtin_resources()):
            gvk = resource.gvk
            # kubernetes.core looks for a kind by any of these.
            for name in dict.fromkeys((gvk.kind, resource.plural, gvk.kind.lower())):
                self._by_kind.setdefault((gvk.group, name), resource)
                self._by_name.setdefault(name, []).append(resource)

    def find(self, gvk: GroupVersionKind, place: Place | None = None) -> Resource:
        """Return how a kind is served.

        ``place``: who asks, named where the kind is not known.
        """
        return self._by_kind.get((gvk.group, gvk.kind)) or self._guessed(gvk, place)

    def find_as_client(self, gvk: GroupVersionKind, place: Place | None = None) -> Resource:
        """Return how the kind that a task names is served.

        As the client of kubernetes.core finds it: a version without a group is one of any group, where the core group
        has no such kind and one other has.
        """
        known = self._by_kind.get((gvk.group, gvk.kind))
        if known is not None or gvk.group:
            return known or self._guessed(gvk, place)
        of_version = [it for it in self._by_name.get(gvk.kind, ()) if it.gvk.version in {"", gvk.version}]
        is_clear = len({it.gvk.group for it in of_version}) == 1
        return of_version[0] if is_clear else self._guessed(gvk, place)

    def _guessed(self, gvk: GroupVersionKind, place: Place | None) -> Resource:
        guess = Resource(gvk, _guessed_plural(gvk.kind), namespaced=True, subresources=frozenset({"status", "scale"}))
        self._unknowns.add(
            place,
            f"{gvk.kind} of {gvk.api_version} is not known: {guess.plural}, namespaced, is a guess; say it with the "
            "kind's CRD in the directory of --crds, or a cluster that serves it, --kubeconfig",
        )
        return guess


def resources_of_crds(directory: Path) -> list[Resource]:
    """Return the kinds that the CRDs of a directory, and those below it, define.

    Raises ``ConfigError``.
    """
    return [kind.resource for kind in defined_kinds(directory)]


def _guessed_plural(kind: str) -> str:
    """Return what ``UnsafeGuessKindToResource`` of apimachinery returns."""
    name = kind.lower()
    if name.endswith("s"):
        return f"{name}es"
    return f"{name[:-1]}ies" if name.endswith("y") else f"{name}s"
