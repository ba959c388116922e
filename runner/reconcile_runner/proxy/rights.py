"""Which rights the requests of runs need, counted for ``rbac --from-runs``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from aiohttp import hdrs, web

from reconcile_runner.metrics import Metrics, RequestScope, UsedRight
from reconcile_runner.proxy.authority import Authority
from reconcile_runner.proxy.requestinfo import RequestInfo, parse_path
from reconcile_runner.proxy.tokens import ProxiedRun

MAX_RIGHTS: Final = 1000
"""Rights that are counted apart. A run can ask for anything, and each right is a series that stays."""

OTHERS: Final = UsedRight("", "", "", RequestScope.CLUSTER)
"""What all further ones are counted as."""

_CREATE: Final = "create"
_MAY_CREATE: Final = frozenset({"patch", "update"})
_VERBS: Final = {
    hdrs.METH_DELETE: "delete",
    hdrs.METH_GET: "get",
    hdrs.METH_HEAD: "get",
    hdrs.METH_PATCH: "patch",
    hdrs.METH_POST: _CREATE,
    hdrs.METH_PUT: "update",
}
_OF_ALL: Final = {"get": "list", "delete": "deletecollection"}
"""Verbs of requests that name no object."""
_OFF: Final = frozenset({"", "0", "false"})


class UsedRights:
    """Counts the rights that requests of runs need; those of one operator."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._counted: set[UsedRight] = set()

    def count(self, request: web.Request, authority: Authority) -> None:
        """Count what a request needs, whatever becomes of it."""
        for right in needed_rights(request, authority):
            self._count(right)

    def count_creation(self, request: web.Request, authority: Authority) -> None:
        """Count what a patch or an update needs that made its object."""
        info = parse_path(request.raw_path)
        if authority.is_operators and info is not None and _VERBS.get(request.method) in _MAY_CREATE:
            self._count(UsedRight(info.group, _resource(info), _CREATE, _scope(info, authority.run)))

    def _count(self, right: UsedRight) -> None:
        is_known = right in self._counted or len(self._counted) < MAX_RIGHTS
        if is_known:
            self._counted.add(right)
        self._metrics.right_used(right if is_known else OTHERS)


def needed_rights(request: web.Request, authority: Authority) -> Iterator[UsedRight]:
    """Yield the rights that the API server looks for, as its ``RequestInfo`` says.

    None where a request is about no resource: everyone may discover kinds.
    """
    if not authority.is_operators:
        # What the request is about needs rights of the user that the role impersonates.
        yield UsedRight("", "users", "impersonate", RequestScope.CLUSTER)
        return
    info = parse_path(request.raw_path)
    verb = _VERBS.get(request.method)
    if info is None or verb is None:
        return
    if not info.name:
        verb = "watch" if verb == "get" and _is_watch(request) else _OF_ALL.get(verb, verb)
    # A WebSocket begins with a GET; from Kubernetes 1.35 on it needs create as well.
    for each in sorted({verb, _CREATE} if "Upgrade" in request.headers else {verb}):
        yield UsedRight(info.group, _resource(info), each, _scope(info, authority.run))


def _is_watch(request: web.Request) -> bool:
    return request.query.get("watch", "").lower() not in _OFF


def _resource(info: RequestInfo) -> str:
    """Return the resource as rules name it. What follows ``proxy`` is a path in what is proxied."""
    subresource = info.subresource.partition("/")[0]
    return f"{info.plural}/{subresource}" if subresource else info.plural


def _scope(info: RequestInfo, run: ProxiedRun) -> RequestScope:
    if not info.namespace:
        return RequestScope.CLUSTER
    return RequestScope.OWN if info.namespace == run.owner.key.namespace else RequestScope.OTHER
