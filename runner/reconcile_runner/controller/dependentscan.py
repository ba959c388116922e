"""The scan: after a start, find the kinds of which earlier runs left dependents.

Only kinds that the operator may list and could have created are looked at: kinds outside its rights cost no request. A
kind is listed as metadata, page by page, until the first dependent shows up. Nothing runs for it.

Three other ways were rejected. A record in an object of our own is a state that can be wrong. A label on all that runs
create is visible, and not on what the Go operator made. Waiting for each object's first run to read its dependents, as
upstream does, finds nothing where nothing runs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from reconcile_runner.apimachinery.objects import GroupVersionKind, metadata
from reconcile_runner.backoff import Backoff
from reconcile_runner.client import ACCEPT_PARTIAL_LIST, ApiClient
from reconcile_runner.client.discovery import Discovery, Resource
from reconcile_runner.clock import Clock
from reconcile_runner.controller.dependents import Dependents
from reconcile_runner.errors import ApiError, ApiUnreachableError, ForbiddenError, NotFoundError
from reconcile_runner.logs import get_logger

PAGE_LIMIT: Final = 500
"""Objects a page: decoding one does not block the event loop for 20 ms."""

_REVIEWS: Final = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
_ANY_NAMESPACE: Final = "default"
"""Rights in all namespaces are among the rights in each of them."""

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Rights:
    """What the operator may do.

    ``is_complete`` False: some rights are unknown, so everything counts as allowed.
    """

    rules: tuple[Mapping[str, Any], ...]
    is_complete: bool

    def any_in_group(self, group: str) -> bool:
        """Whether there is a right on anything in a group."""
        return not self.is_complete or any(_covers(rule, "apiGroups", group) for rule in self.rules)

    def allow(self, verb: str, resource: Resource) -> bool:
        """Whether a verb is allowed on all objects of a kind."""
        return not self.is_complete or any(
            not rule.get("resourceNames")
            and _covers(rule, "verbs", verb)
            and _covers(rule, "apiGroups", resource.gvk.group)
            and _covers(rule, "resources", resource.plural)
            for rule in self.rules
        )


async def scan_for_dependents(
    client: ApiClient,
    discovery: Discovery,
    dependents: Dependents,
    clock: Clock,
    namespaces: Collection[str] = (),
) -> None:
    """Watch each kind of which earlier runs left dependents.

    ``namespaces``: where to look; empty: everywhere. It returns when all kinds were looked at, and tries again for as
    long as the API server fails.
    """
    scan, backoff = _Scan(client, discovery, dependents, tuple(namespaces)), Backoff()
    while True:
        try:
            await scan.run()
        except (ApiError, ApiUnreachableError) as error:
            _log.debug("looking for dependents failed, trying again", error=str(error))
            await clock.sleep(backoff.next())
        else:
            return


class _Scan:
    """A scan that goes on where an earlier attempt failed."""

    def __init__(
        self, client: ApiClient, discovery: Discovery, dependents: Dependents, namespaces: tuple[str, ...]
    ) -> None:
        self._client = client
        self._discovery = discovery
        self._dependents = dependents
        self._namespaces = namespaces
        self._scanned: set[GroupVersionKind] = set()

    async def run(self) -> None:
        """Look at the kinds that are left. Raises ``ApiError`` or ``ApiUnreachableError``."""
        rights = await self._rights()
        for resource in await self._discovery.preferred(rights.any_in_group):
            if self._is_candidate(resource, rights):
                await self._scan_kind(resource)
                self._scanned.add(resource.gvk)
        _log.info("looked for dependents of earlier runs", kinds=len(self._scanned))

    def _is_candidate(self, resource: Resource, rights: Rights) -> bool:
        """Whether runs can have made such objects, and the kind may be watched."""
        return (
            resource.gvk not in self._scanned
            and self._dependents.can_watch(resource)
            and not self._dependents.is_watched(resource)
            and rights.allow("list", resource)
            and (rights.allow("create", resource) or rights.allow("patch", resource))
        )

    async def _rights(self) -> Rights:
        rules: list[Mapping[str, Any]] = []
        complete = True
        for namespace in self._namespaces or (_ANY_NAMESPACE,):
            try:
                answer = await self._client.create(_REVIEWS, _review_of(namespace))
            except ApiError as error:
                _log.debug("the operator's rights cannot be read", error=str(error))
                return Rights((), is_complete=False)
            status = answer.get("status") or {}
            rules += status.get("resourceRules") or []
            complete = complete and not status.get("incomplete")
        return Rights(tuple(rules), complete)

    async def _scan_kind(self, resource: Resource) -> None:
        """Read a kind page by page until a dependent is found, which has the kind watched."""
        namespaces = self._namespaces if resource.namespaced else ()
        try:
            for namespace in namespaces or ("",):
                if await self._has_dependents(resource, namespace):
                    return
        except (ForbiddenError, NotFoundError) as error:
            _log.debug("a kind cannot be looked at", dependent_gvk=str(resource.gvk), error=str(error))

    async def _has_dependents(self, resource: Resource, namespace: str) -> bool:
        params = {"limit": str(PAGE_LIMIT)}
        while True:
            page = await self._client.get(resource.path(namespace), params, accept=ACCEPT_PARTIAL_LIST)
            if any(self._dependents.watch_kind_of(resource, item) for item in page.get("items") or ()):
                return True
            token = metadata(page).get("continue")
            if not token:
                return False
            params = {"limit": str(PAGE_LIMIT), "continue": token}


def _covers(rule: Mapping[str, Any], name: str, value: str) -> bool:
    values = rule.get(name) or ()
    return value in values or "*" in values


def _review_of(namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
