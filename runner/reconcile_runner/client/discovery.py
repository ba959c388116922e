"""Discovery: from a kind to its resource, scope, verbs and subresources.

Asks the API server on a miss and remembers the answer, a group-version at a time. ``run`` refreshes the kinds in use,
because a CRD may be removed or changed while the operator runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from reconcile_runner.apimachinery.objects import GroupVersionKind, KubeObject
from reconcile_runner.backoff import Backoff
from reconcile_runner.client import ApiClient, OutageLog
from reconcile_runner.clock import Clock
from reconcile_runner.errors import ApiError, ApiUnreachableError, KindNotFoundError, NotFoundError
from reconcile_runner.logs import get_logger

_log = get_logger(__name__)

MISSING_KIND_PERIOD: Final = 2.0
"""Seconds between two requests for a kind that is waited for."""
REFRESH_PERIOD: Final = 30.0
"""Seconds between two refreshes of the kinds in use."""

_DISCOVERY_PATHS: Final = ("/api", "/apis")
_ACCEPT_AGGREGATED: Final = ",".join(
    f"application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList" for version in ("v2", "v2beta1")
)
"""All kinds of all groups in one answer, with an entity tag: Kubernetes 1.27 and later (KEP-3352)."""


@dataclass(frozen=True, slots=True)
class Resource:
    """How the API server serves a kind.

    ``subresources`` are bare names, such as ``status``.
    """

    gvk: GroupVersionKind
    plural: str
    namespaced: bool
    subresources: frozenset[str] = frozenset()
    verbs: frozenset[str] = frozenset()

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Return the escaped path of an object, or of a list where ``name`` is empty.

        An empty ``namespace`` means all of them; a cluster-scoped kind ignores it.
        """
        parts = [_root(self.gvk.group, self.gvk.version)]
        if namespace and self.namespaced:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.plural)
        if name:
            parts.append(quote(name, safe=""))
        if subresource:
            parts.append(subresource)
        return "/".join(parts)


class Discovery:
    """What the API server serves, remembered.

    Nothing is requested before it is needed.
    """

    def __init__(self, client: ApiClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._resources: dict[GroupVersionKind, Resource] = {}
        self._by_plural: dict[tuple[str, str, str], Resource] = {}
        self._asking: dict[tuple[str, str], asyncio.Lock] = {}
        self._used: set[tuple[str, str]] = set()
        self._etags = [""] * len(_DISCOVERY_PATHS)

    def known(self, gvk: GroupVersionKind) -> Resource | None:
        """Return what is remembered of a kind, without asking."""
        return self._resources.get(gvk)

    def known_plural(self, group: str, version: str, plural: str) -> Resource | None:
        """Return what is remembered of the kind that a path names, without asking."""
        return self._by_plural.get((group, version, plural))

    async def resource_of_plural(self, group: str, version: str, plural: str) -> Resource | None:
        """Return the resource that a path names, requested if it is not known.

        None where there is none.

        Raises ``ApiUnreachableError`` or ``ApiError``.
        """
        if (group, version, plural) not in self._by_plural:
            # A thousand runs may want to know at once; the first one asks.
            async with self._asking.setdefault((group, version), asyncio.Lock()):
                if (group, version, plural) not in self._by_plural:
                    await self._ask(group, version)
        return self._by_plural.get((group, version, plural))

    async def preferred(self, wanted: Callable[[str], bool]) -> list[Resource]:
        """Return the resources of the ``wanted`` groups, in their preferred versions.

        Asks for all of it, and remembers none. Raises ``ApiUnreachableError`` or ``ApiError``.
        """
        groups: list[Mapping[str, Any]] = (await self._client.get("/apis")).get("groups") or []
        versions = [("", "v1"), *((group["name"], group["preferredVersion"]["version"]) for group in groups)]
        found: list[Resource] = []
        for group, version in versions:
            if not wanted(group):
                continue
            try:
                answer = await self._client.get(_root(group, version))
            except ApiError as error:
                # An aggregated API server that is down takes nothing with it but its own kinds.
                _log.debug("discovery failed", group=group, error=str(error))
                continue
            found += _resources_in(answer, group, version).values()
        return found

    async def resource(self, gvk: GroupVersionKind) -> Resource:
        """Return the kind's resource, requested if it is not known.

        Raises ``KindNotFoundError``, ``ApiUnreachableError`` or ``ApiError``.
        """
        return self._resources.get(gvk) or await self.refresh(gvk)

    async def refresh(self, gvk: GroupVersionKind) -> Resource:
        """Ask for the kind, remembered or not. Raises as ``resource`` does."""
        await self._ask(gvk.group, gvk.version)
        found = self._resources.get(gvk)
        if found is None:
            raise KindNotFoundError(f"the API server knows no {gvk.kind} in {gvk.api_version}")
        return found

    async def wait_for(self, gvk: GroupVersionKind) -> Resource:
        """Return the kind's resource, as soon as the API server serves it.

        Looks every 2 s while the kind is missing and says so once a minute; backs off while nothing answers.
        """
        backoff = Backoff()
        outage = OutageLog(self._clock)
        while True:
            try:
                resource = await self.resource(gvk)
            except KindNotFoundError as error:
                delay = MISSING_KIND_PERIOD
                backoff.reset()
                if outage.should_log("missing"):
                    _log.warning("kind is missing, waiting for its CRD", gvk=str(gvk), error=str(error))
            except ApiUnreachableError:
                delay = backoff.next()
            except ApiError as error:
                delay = max(backoff.next(), error.retry_after or 0.0)
                if outage.should_log(str(error)):
                    _log.warning("discovery failed, trying again", gvk=str(gvk), error=str(error))
            else:
                lasted = outage.end()
                if lasted is not None:
                    _log.info("kind is available", gvk=str(gvk), seconds=lasted)
                return resource
            await self._clock.sleep(delay)

    async def etag(self) -> str:
        """Return the entity tag of all that is served.

        Empty where the API server gives none or does not answer.

        It changes as soon as kinds come, go or change. The server answers without a body where nothing has.
        """
        try:
            tags = await asyncio.gather(*map(self._ask_etag, _DISCOVERY_PATHS, self._etags))
        except (ApiError, ApiUnreachableError):
            return ""
        self._etags = tags
        return " ".join(tags) if all(tags) else ""

    async def run(self) -> None:
        """Refresh the kinds in use every 30 s, to notice removed and changed ones."""
        outage = OutageLog(self._clock)
        while True:
            await self._clock.sleep(REFRESH_PERIOD)
            try:
                for group, version in sorted(self._used):
                    await self._ask(group, version)
            except ApiUnreachableError:
                continue
            except ApiError as error:
                if outage.should_log(str(error)):
                    _log.warning("discovery failed, trying again", error=str(error))
            else:
                outage.end()

    async def _ask_etag(self, path: str, known: str) -> str:
        return await self._client.etag(path, accept=_ACCEPT_AGGREGATED, known=known)

    async def _ask(self, group: str, version: str) -> None:
        """Replace what is remembered of a group-version by what the API server says now."""
        self._used.add((group, version))
        try:
            answer = await self._client.get(_root(group, version))
        except NotFoundError:
            answer = {}
        found = _resources_in(answer, group, version)
        before = {gvk: kept for gvk, kept in self._resources.items() if (gvk.group, gvk.version) == (group, version)}
        for gvk, resource in before.items():
            if found.get(gvk) != resource:
                message = "kind changed" if gvk in found else "kind was removed"
                _log.info(message, gvk=str(gvk))
            del self._resources[gvk]
            self._by_plural.pop((group, version, resource.plural), None)
        self._resources.update(found)
        self._by_plural.update(((group, version, resource.plural), resource) for resource in found.values())


def _root(group: str, version: str) -> str:
    return f"/apis/{group}/{version}" if group else f"/api/{version}"


def _resources_in(answer: KubeObject, group: str, version: str) -> dict[GroupVersionKind, Resource]:
    """Return the resources of an APIResourceList.

    ``pods/status`` stands beside ``pods`` there.
    """
    entries: list[Mapping[str, Any]] = answer.get("resources") or []
    subresources: dict[str, set[str]] = {}
    for entry in entries:
        plural, _, subresource = entry["name"].partition("/")
        if subresource:
            subresources.setdefault(plural, set()).add(subresource)
    found: dict[GroupVersionKind, Resource] = {}
    for entry in entries:
        plural, gvk = entry["name"], GroupVersionKind(group, version, entry["kind"])
        if "/" in plural or gvk in found:
            continue
        found[gvk] = Resource(
            gvk=gvk,
            plural=plural,
            namespaced=bool(entry["namespaced"]),
            subresources=frozenset(subresources.get(plural, ())),
            verbs=frozenset(entry.get("verbs") or ()),
        )
    return found
