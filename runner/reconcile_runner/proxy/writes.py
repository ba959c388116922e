"""Sends a run's writes on, and sets the owner of what it creates.

POST, server-side apply and PUT set the owner. Apply and PUT contain the whole object: on an object that has the owner
they would remove it, so it is set again; an object without it belongs to somebody else and stays so. Other patches are
sent on unchanged.
"""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus
from typing import Final

import orjson
from aiohttp import hdrs, web

from reconcile_runner.apimachinery.objects import KubeObject, key_of, metadata
from reconcile_runner.apimachinery.owners import Owner, has_owner, set_owner
from reconcile_runner.client import ACCEPT_PARTIAL, HttpClient, PatchType
from reconcile_runner.client.discovery import Discovery, Resource
from reconcile_runner.controller.dependents import Dependents, is_event_kind
from reconcile_runner.errors import NotFoundError
from reconcile_runner.logs import get_logger
from reconcile_runner.proxy.bodies import APPLY, DECODABLE, JSON, decode, encode, media_type
from reconcile_runner.proxy.consistency import Write, changed_nothing
from reconcile_runner.proxy.forward import Answer, Forwarder
from reconcile_runner.proxy.reads import Views
from reconcile_runner.proxy.requestinfo import RequestInfo
from reconcile_runner.proxy.tokens import ProxiedRun

FIELD_MANAGER: Final = "ansible-reconcile-runner"
"""The field manager of an owner that was set in a request of its own."""

_BINARY: Final = ("application/cbor", "application/vnd.kubernetes.protobuf")

STREAMED: Final = frozenset({"attach", "exec", "log", "portforward", "proxy"})
"""Subresources that are no objects: requests to them are sent on unchanged."""

_log = get_logger(__name__)


class WriteProxy:
    """Serves writes.

    ``injects`` False: no owner is set (``--inject-owner-ref=false``).
    """

    def __init__(
        self,
        client: HttpClient,
        forwarder: Forwarder,
        discovery: Discovery,
        views: Views,
        dependents: Dependents,
        *,
        injects: bool,
    ) -> None:
        self._client = client
        self._forwarder = forwarder
        self._discovery = discovery
        self._views = views
        self._dependents = dependents
        self._injects = injects
        self._unreadable_types: set[str] = set()

    async def serve(self, request: web.Request, info: RequestInfo, run: ProxiedRun) -> web.StreamResponse:
        """Send a write on.

        Raises ``ApiError`` where discovery does: nothing may be created without its owner.
        """
        resource = await self._discovery.resource_of_plural(info.group, info.version, info.plural)
        if resource is None or "get" not in resource.verbs or info.subresource.partition("/")[0] in STREAMED:
            return await self._forwarder.stream(request)
        lists_before = self._dependents.lists_seen(resource)
        with run.writes.writing(info.storage) as write:
            answer = await self._send(request, info, resource, run.owner)
            obj = _object_of(answer, resource)
            _conclude(write, request, info, answer)
        if obj is not None and self._injects and not _is_dry_run(request) and request.method != hdrs.METH_DELETE:
            self._dependents.observe(resource, obj, lists_before)
        return answer.response()

    async def _send(self, request: web.Request, info: RequestInfo, resource: Resource, owner: Owner) -> Answer:
        body = await request.read()
        if (
            not self._injects
            or not _may_create(request)
            or info.subresource
            or not _can_be_owned(info, resource, owner)
        ):
            return await self._forwarder.fetch(request, body, _answer_as_json(request))
        if media_type(request.headers.get(hdrs.CONTENT_TYPE, "")) not in DECODABLE:
            answer = await self._forwarder.fetch(request, body, _answer_as_json(request))
            return await self._set_owner_afterwards(request, resource, owner, answer)
        with_owner = _with_owner(request, info, owner, body)
        if with_owner is None:
            return await self._forwarder.fetch(request, body, _answer_as_json(request))
        changed = {hdrs.CONTENT_TYPE: APPLY if request.method == hdrs.METH_PATCH else JSON, **_answer_as_json(request)}
        if request.method != hdrs.METH_POST and not await self._takes_owner(info, resource, owner):
            answer = await self._forwarder.fetch(request, body, _answer_as_json(request))
            if answer.status != HTTPStatus.CREATED:
                return answer
            # It was deleted after the look, so this request created it, without an owner: send it again with one.
        return await self._forwarder.fetch(request, with_owner, changed)

    async def _set_owner_afterwards(
        self, request: web.Request, resource: Resource, owner: Owner, answer: Answer
    ) -> Answer:
        """Set the owner of an object once it is created.

        Its encoding cannot be read (kubectl's protobuf).
        """
        if answer.status != HTTPStatus.CREATED or _is_dry_run(request):
            return answer
        obj = _object_of(answer, resource)
        if obj is None:
            self._warn_of_type(request)
            return answer
        key = key_of(obj)
        if set_owner(obj, owner, key.namespace) is obj:
            return answer
        identity = {"apiVersion": resource.gvk.api_version, "kind": resource.gvk.kind, "metadata": {"name": key.name}}
        stored = await self._client.patch(
            resource.path(key.namespace, key.name),
            set_owner(identity, owner, key.namespace),
            patch_type=PatchType.APPLY,
            params={"fieldManager": FIELD_MANAGER, "force": "true"},
        )
        return replace(answer, body=orjson.dumps(stored))

    async def _takes_owner(self, info: RequestInfo, resource: Resource, owner: Owner) -> bool:
        """Tell whether an apply or a PUT creates the object, or it has the owner."""
        view = self._views.view(resource.gvk, info.namespace, whole=False)
        cached = view.informer.get(info.key) if view is not None else None
        if cached is not None and has_owner(cached, owner):
            return True
        try:
            path = resource.path(info.namespace, info.name)
            return has_owner(await self._client.get(path, accept=ACCEPT_PARTIAL), owner)
        except NotFoundError:
            return True

    def _warn_of_type(self, request: web.Request) -> None:
        found = media_type(request.headers.get(hdrs.CONTENT_TYPE, ""))
        if found not in self._unreadable_types:
            self._unreadable_types.add(found)
            _log.warning("an object gets no owner: its encoding cannot be read", content_type=found, path=request.path)


def _may_create(request: web.Request) -> bool:
    """Tell whether a request contains a whole object (PUT, POST, apply)."""
    if request.method == hdrs.METH_PATCH:
        return media_type(request.headers.get(hdrs.CONTENT_TYPE, "")).startswith("application/apply-patch+")
    return request.method in (hdrs.METH_POST, hdrs.METH_PUT)


def _can_be_owned(info: RequestInfo, resource: Resource, owner: Owner) -> bool:
    if is_event_kind(resource.gvk) or resource.namespaced is not bool(info.namespace):
        return False
    is_owner_itself = (resource.gvk.group, resource.gvk.kind, info.key) == (owner.gvk.group, owner.gvk.kind, owner.key)
    return not is_owner_itself


def _with_owner(request: web.Request, info: RequestInfo, owner: Owner, body: bytes) -> bytes | None:
    """Return a run's body with the owner set.

    None where it has the owner, or must not get it.
    """
    obj = decode(body)
    if obj is None or (request.method == hdrs.METH_PUT and "ownerReferences" in metadata(obj)):
        return None
    new = set_owner(obj, owner, info.namespace)
    return encode(new) if new is not obj else None


def _answer_as_json(request: web.Request) -> dict[str, str]:
    """Return the header that asks for JSON.

    Empty unless the run prefers protobuf or CBOR and accepts JSON, too.
    """
    accepted = [part.strip() for part in request.headers.get(hdrs.ACCEPT, "").split(",")]
    return {hdrs.ACCEPT: JSON} if accepted[0].startswith(_BINARY) and JSON in accepted else {}


def _object_of(answer: Answer, resource: Resource) -> KubeObject | None:
    obj = answer.decoded()
    return obj if obj is not None and obj.get("kind") == resource.gvk.kind else None


def _is_dry_run(request: web.Request) -> bool:
    return bool(request.query.get("dryRun"))


def _conclude(write: Write, request: web.Request, info: RequestInfo, answer: Answer) -> None:
    if changed_nothing(answer.status) or _is_dry_run(request):
        write.did_nothing()
        return
    obj = answer.decoded()
    if obj is None:
        return
    name = info.name or str(metadata(obj).get("name") or "")
    if name:
        deleted = request.method == hdrs.METH_DELETE
        write.answered(info.key._replace(name=name), obj, deleted=deleted)
