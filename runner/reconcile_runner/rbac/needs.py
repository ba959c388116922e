"""What watches need: the operator itself, tasks, and the dependents they create.

What files do not tell goes to ``Unknowns``. The operator's own requests are those of the packages ``cache``,
``reconciler``, ``recorder`` and, for dependents, ``controller``; leader election has a role of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from reconcile_runner.apimachinery.objects import GroupVersionKind
from reconcile_runner.client.discovery import Resource
from reconcile_runner.content.tasks import TaskWalk, calls_of
from reconcile_runner.content.unknowns import Place, Unknowns
from reconcile_runner.content.yamlfiles import YamlFileError, text_of
from reconcile_runner.controller.dependents import NEEDED_VERBS, is_event_kind
from reconcile_runner.rbac.kinds import KindTable
from reconcile_runner.rbac.modules import EVENT, Use, uses
from reconcile_runner.rbac.rules import Need
from reconcile_runner.rbac.templatelookups import lookups
from reconcile_runner.reconciler.finalizer import for_deletion
from reconcile_runner.watches.loader import Lookup
from reconcile_runner.watches.watch import Watch

_READ: Final = frozenset({"get", "list", "watch"})
_SECRETS_ARE_NOT_WATCHED: Final = (
    "makes a Secret, whose changes and deletion reconcile nothing: to watch them the operator would have to read "
    "every Secret; add list and watch on secrets by hand, or put the kind into the watch's blacklist"
)
_LEASES: Final = ("coordination.k8s.io", "leases")


def needs_of_watches(watches: Iterable[Watch], kinds: KindTable, lookup: Lookup, unknowns: Unknowns) -> list[Need]:
    """Return what the watches need, in any order and more than once."""
    unwatched_secrets: list[Place] = []
    needs = [need for watch in watches for need in _needs_of_watch(watch, kinds, lookup, unknowns, unwatched_secrets)]
    if not any(_is_of_every_secret(need) for need in needs):
        for place in unwatched_secrets:
            unknowns.add(place, _SECRETS_ARE_NOT_WATCHED)
    return needs


def needs_with_runs(watches: Iterable[Watch], kinds: KindTable, used: Iterable[Need]) -> list[Need]:
    """Return what the operator needs where its runs need what they have ``used``, in any order and more than once.

    The dependents of runs are of the kinds that runs have created.
    """
    used = list(used)
    needs = list(used)
    for watch in watches:
        owner = kinds.find(watch.gvk)
        needs += [use.need for use in _of_operator(watch, owner, kinds)]
        for need in used:
            if "create" not in need.verbs or "/" in need.resource:
                continue
            made = kinds.find(GroupVersionKind(need.group, "", need.resource))
            dependents = _of_dependents(watch, owner, made)
            if dependents is not None and not _is_secret(made):
                needs.append(dependents.need)
    return needs


def needs_of_election(lease: str) -> list[Need]:
    """Return what an operator needs for its Lease, in the namespace of that."""
    group, resource = _LEASES
    # The name of what is to be created is not known to the authorizer. A watch of one name is.
    named = Need(group, resource, frozenset({"get", "update", "watch"}), lease)
    return [Need(group, resource, frozenset({"create"})), named]


def _is_of_every_secret(need: Need) -> bool:
    return (need.group, need.resource, need.name) == ("", "secrets", "") and need.verbs >= NEEDED_VERBS


def _needs_of_watch(
    watch: Watch, kinds: KindTable, lookup: Lookup, unknowns: Unknowns, unwatched_secrets: list[Place]
) -> Iterator[Need]:
    owner = kinds.find(watch.gvk)
    yield from (use.need for use in _of_operator(watch, owner, kinds))
    for use, place in _of_contents(watch, kinds, lookup, unknowns):
        yield use.need
        if use.is_creation:
            dependents = _of_dependents(watch, owner, use.resource)
            if dependents is not None and _is_secret(use.resource):
                unwatched_secrets.append(place)
            elif dependents is not None:
                yield dependents.need
        for blocked in use.blocked_owners:
            yield Use(kinds.find(blocked, place) if blocked.kind else owner, frozenset({"update"}), "finalizers").need


def _of_operator(watch: Watch, owner: Resource, kinds: KindTable) -> Iterator[Use]:
    """Yield what the operator does for a watch itself."""
    yield Use(owner, _READ)
    if watch.manage_status:
        yield Use(owner, frozenset({"patch"}), "status" if "status" in owner.subresources else "")
    if watch.finalizer is not None:
        yield Use(owner, frozenset({"patch"}))
    for trigger in watch.triggers:
        yield Use(kinds.find(trigger.gvk), NEEDED_VERBS)
    # Those of an object without namespace are in another one than the operator's perhaps.
    yield Use(kinds.find(EVENT), frozenset({"create", "patch"}), is_cluster_wide=not owner.namespaced)


def _of_contents(watch: Watch, kinds: KindTable, lookup: Lookup, unknowns: Unknowns) -> Iterator[tuple[Use, Place]]:
    """Yield what the watch's role or playbook needs, and its finalizer's."""
    for run in (watch, for_deletion(watch)) if watch.finalizer else (watch,):
        walk = TaskWalk(unknowns)
        for call in calls_of(walk.watch(run, lookup)):
            for use in uses(call, kinds, unknowns):
                yield use, call.place
        yield from _of_lookups(walk, run, kinds, unknowns)


def _of_lookups(walk: TaskWalk, run: Watch, kinds: KindTable, unknowns: Unknowns) -> Iterator[tuple[Use, Place]]:
    for file in walk.files:
        try:
            text = text_of(file)
        except YamlFileError:  # no text, or said already
            continue
        for use in lookups(text, Place(file), kinds, unknowns):
            yield use, Place(file)
    content = run.playbook or run.role
    for value in run.vars.values():
        if content is not None and isinstance(value, str):
            yield from ((use, Place(content)) for use in lookups(value, Place(content), kinds, unknowns))


def _of_dependents(watch: Watch, owner: Resource, made: Resource) -> Use | None:
    """Return what is needed to hear of what becomes of objects that a run made.

    None where they are not watched.
    """
    if not watch.watch_dependent_resources or is_event_kind(made.gvk):
        return None
    if any((kind.group, kind.kind) == (made.gvk.group, made.gvk.kind) for kind in watch.blacklist):
        return None
    if not (made.namespaced or watch.watch_cluster_scoped_resources or not owner.namespaced):
        return None
    return Use(made, NEEDED_VERBS)


def _is_secret(resource: Resource) -> bool:
    return (resource.gvk.group, resource.gvk.kind) == ("", "Secret")
