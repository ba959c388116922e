"""Finds, after a start, the kinds of which earlier runs left dependents, without running anything.

``manager`` runs it once, beside the caches; what it finds it hands to ``dependents``, which watches the kind from then
on. Asked for is only what the operator may list and could have created: kinds outside its own rights cost no request.
A kind is listed as metadata, page by page, until the first dependent shows up.

The other ways were worse: a record in an object of our own is a state that can be wrong; a label on everything that
runs create is visible, and not on what the Go operator made; waiting for each object's first run to read its
dependents, as upstream does, finds nothing where nothing runs.
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

PAGE: Final = 500
"""Objects a page: decoding one does not block the event loop for 20 ms."""

_REVIEWS: Final = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
_ANY_NAMESPACE: Final = "default"
"""Rights in all namespaces are among the rights in any of them."""

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Rights:
    """What the operator may do. ``complete`` False: the API server could not say everything, so anything may be."""

    rules: tuple[Mapping[str, Any], ...]
    complete: bool

    def any_in_group(self, group: str) -> bool:
        """Tell whether there is a right on anything in a group."""
        return not self.complete or any(_covers(rule, "apiGroups", group) for rule in self.rules)

    def allow(self, verb: str, resource: Resource) -> bool:
        """Tell whether a verb is allowed on all objects of a kind."""
        return not self.complete or any(
            not rule.get("resourceNames")
            and _covers(rule, "verbs", verb)
            and _covers(rule, "apiGroups", resource.gvk.group)
            and _covers(rule, "resources", resource.plural)
            for rule in self.rules
        )


class Survey:
    """One look at what there is. ``namespaces`` empty: all."""

    def __init__(
        self,
        client: ApiClient,
        discovery: Discovery,
        dependents: Dependents,
        clock: Clock,
        namespaces: Collection[str] = (),
    ) -> None:
        self._client = client
        self._discovery = discovery
        self._dependents = dependents
        self._clock = clock
        self._namespaces = tuple(namespaces)
        self._looked_at: set[GroupVersionKind] = set()

    async def run(self) -> None:
        """Look, once the API server answers; return when everything was looked at."""
        backoff = Backoff()
        while True:
            try:
                await self._look()
            except (ApiError, ApiUnreachableError) as error:
                _log.debug("looking for dependents failed, trying again", error=str(error))
                await self._clock.sleep(backoff.next())
            else:
                return

    async def _look(self) -> None:
        rights = await self._rights()
        for resource in await self._discovery.preferred(rights.any_in_group):
            if self._is_candidate(resource, rights):
                await self._look_at(resource)
                self._looked_at.add(resource.gvk)
        _log.info("looked for dependents of earlier runs", kinds=len(self._looked_at))

    def _is_candidate(self, resource: Resource, rights: Rights) -> bool:
        """Tell whether a run of this operator can have made such an object, and it may be watched."""
        return (
            resource.gvk not in self._looked_at
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
                return Rights((), complete=False)
            status = answer.get("status") or {}
            rules += status.get("resourceRules") or []
            complete = complete and not status.get("incomplete")
        return Rights(tuple(rules), complete)

    async def _look_at(self, resource: Resource) -> None:
        """Page through a kind until a dependent is found and followed."""
        namespaces = self._namespaces if resource.namespaced else ()
        try:
            for namespace in namespaces or ("",):
                if await self._has_dependents(resource, namespace):
                    return
        except (ForbiddenError, NotFoundError) as error:
            _log.debug("a kind cannot be looked at", dependent_gvk=str(resource.gvk), error=str(error))

    async def _has_dependents(self, resource: Resource, namespace: str) -> bool:
        params = {"limit": str(PAGE)}
        while True:
            page = await self._client.get(resource.path(namespace), params, accept=ACCEPT_PARTIAL_LIST)
            if any(self._dependents.watch_kind_of(resource, item) for item in page.get("items") or ()):
                return True
            token = metadata(page).get("continue")
            if not token:
                return False
            params = {"limit": str(PAGE), "continue": token}


def _covers(rule: Mapping[str, Any], name: str, value: str) -> bool:
    values = rule.get(name) or ()
    return value in values or "*" in values


def _review_of(namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
