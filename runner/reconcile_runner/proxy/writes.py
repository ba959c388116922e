"""Sends a run's writes on, and sets the owner of what it creates.

POST, server-side apply and PUT set the owner, in each encoding that the API server takes. Apply and PUT contain the
whole object: on an object that has the owner they would remove it, so it is set again; an object without it belongs to
somebody else and stays so. Other patches are sent on unchanged.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Final

from aiohttp import hdrs, web

from reconcile_runner.apimachinery.objects import KubeObject, metadata
from reconcile_runner.apimachinery.owners import Owner, has_owner, set_owner
from reconcile_runner.client import ACCEPT_PARTIAL, HttpClient
from reconcile_runner.client.discovery import Discovery, Resource
from reconcile_runner.controller.dependents import Dependents, is_event_kind
from reconcile_runner.errors import ApiError, NotFoundError
from reconcile_runner.proxy.bodies import APPLY, DECODABLE, JSON, YAML, decode, decode_plain, encode, media_type
from reconcile_runner.proxy.consistency import Write, changed_nothing
from reconcile_runner.proxy.forward import Answer, Forwarder
from reconcile_runner.proxy.intake import INLINE_BYTES, Intake
from reconcile_runner.proxy.protobuf import PROTOBUF
from reconcile_runner.proxy.protobuf import with_owner as protobuf_with_owner
from reconcile_runner.proxy.reads import Views
from reconcile_runner.proxy.requestinfo import RequestInfo
from reconcile_runner.proxy.tokens import ProxiedRun

_BINARY: Final = ("application/cbor", PROTOBUF)
_ALSO_JSON: Final = frozenset({JSON, "application/*", "*/*"})
"""What an ``Accept`` has that takes JSON, too."""

STREAMED: Final = frozenset({"attach", "exec", "log", "portforward", "proxy"})
"""Subresources that are no objects: requests to them are sent on unchanged."""


class WriteProxy:
    """Serves writes.

    ``injects`` False: no owner is set (``--inject-owner-ref=false``).
    """

    def __init__(
        self,
        client: HttpClient,
        forwarder: Forwarder,
        intake: Intake,
        discovery: Discovery,
        views: Views,
        dependents: Dependents,
        *,
        injects: bool,
    ) -> None:
        self._client = client
        self._forwarder = forwarder
        self._intake = intake
        self._discovery = discovery
        self._views = views
        self._dependents = dependents
        self._injects = injects

    async def serve(self, request: web.Request, info: RequestInfo, run: ProxiedRun) -> web.StreamResponse:
        """Send a write on.

        Raises ``ApiError`` where discovery does: nothing may be created without its owner.
        """
        resource = await self._discovery.resource_of_plural(info.group, info.version, info.plural)
        if resource is None or "get" not in resource.verbs or info.subresource.partition("/")[0] in STREAMED:
            return await self._forwarder.stream(request)
        if request.method == hdrs.METH_DELETE and not info.name:
            return await self._delete_collection(request, info, run)
        lists_before = self._dependents.lists_seen(resource)
        with run.writes.writing(info.storage) as write:
            answer = await self._send(request, info, resource, run)
            obj = await answer.decoded()
            _conclude(write, request, info, answer, obj)
        is_kept = request.method != hdrs.METH_DELETE and not _is_dry_run(request)
        if obj is not None and obj.get("kind") == resource.gvk.kind and self._injects and is_kept:
            self._dependents.observe(resource, obj, lists_before)
        return answer.response()

    async def _delete_collection(self, request: web.Request, info: RequestInfo, run: ProxiedRun) -> web.StreamResponse:
        """Send a deletion of many on. All of them are in the answer, which is not kept for that."""
        with run.writes.writing(info.storage) as write:
            response = await self._forwarder.stream(request)
            if changed_nothing(response.status) or _is_dry_run(request):
                write.did_nothing()
        return response

    async def _send(self, request: web.Request, info: RequestInfo, resource: Resource, run: ProxiedRun) -> Answer:
        changed = _answer_as_json(request)
        if (
            not self._injects
            or not _may_create(request)
            or info.subresource
            or not _can_be_owned(info, resource, run.owner)
        ):
            return await self._forwarder.fetch(request, None, changed)
        async with self._intake.body(request, run) as body:
            with_owner = await self._with_owner(request, info, run, body)
            if with_owner is None:
                return await self._forwarder.fetch(request, body, changed)
            if request.method != hdrs.METH_POST and not await self._takes_owner(info, resource, run.owner):
                answer = await self._forwarder.fetch(request, body, changed)
                if answer.status != HTTPStatus.CREATED:
                    return answer
                # It was deleted after the look, so this request created it, without an owner: send it again with one.
            changed = {hdrs.CONTENT_TYPE: with_owner.media_type, **changed}
            return await self._forwarder.fetch(request, with_owner.content, changed)

    async def _with_owner(self, request: web.Request, info: RequestInfo, run: ProxiedRun, body: bytes) -> _Body | None:
        """Return a run's body with the owner set.

        None where it has the owner, must not get it, or is for the API server to refuse. Raises ``ApiError`` for an
        encoding that cannot be read: nothing may be created without its owner, and clients then send JSON.
        """
        encoding = media_type(request.headers.get(hdrs.CONTENT_TYPE, ""))
        replaces = request.method == hdrs.METH_PUT
        if encoding == PROTOBUF:
            add = partial(protobuf_with_owner, body, run.owner, info.namespace, replaces=replaces)
            return _Body.of(add() if len(body) <= INLINE_BYTES else await self._intake.aside(run, add), PROTOBUF)
        if encoding not in DECODABLE:
            known = f"{JSON}, {YAML}, {PROTOBUF}"
            message = f"the body of the request was in an unknown format - accepted media types include: {known}"
            raise ApiError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", message)
        obj = await self._decoded(run, body, encoding)
        if obj is None or (replaces and "ownerReferences" in metadata(obj)):
            return None
        new = set_owner(obj, run.owner, info.namespace)
        if new is obj:
            return None
        return _Body.of(encode(new), APPLY if request.method == hdrs.METH_PATCH else JSON)

    async def _decoded(self, run: ProxiedRun, body: bytes, encoding: str) -> KubeObject | None:
        if len(body) <= INLINE_BYTES:
            with contextlib.suppress(ValueError):
                return decode_plain(body)
        return await self._intake.aside(run, decode, body, encoding)

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


@dataclass(frozen=True, slots=True)
class _Body:
    """A body with an owner, and its encoding."""

    content: bytes
    media_type: str

    @classmethod
    def of(cls, content: bytes | None, media_type: str) -> _Body | None:
        """Return a body; None where there is no content."""
        return cls(content, media_type) if content is not None else None


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


def _answer_as_json(request: web.Request) -> dict[str, str]:
    """Return the header that asks for JSON.

    Empty unless the run prefers protobuf or CBOR and accepts JSON, too.
    """
    accepted = [media_type(part) for part in request.headers.get(hdrs.ACCEPT, "").split(",")]
    return {hdrs.ACCEPT: JSON} if accepted[0] in _BINARY and not _ALSO_JSON.isdisjoint(accepted) else {}


def _is_dry_run(request: web.Request) -> bool:
    return bool(request.query.get("dryRun"))


def _conclude(write: Write, request: web.Request, info: RequestInfo, answer: Answer, obj: KubeObject | None) -> None:
    if changed_nothing(answer.status) or _is_dry_run(request):
        write.did_nothing()
        return
    if obj is None:
        return
    name = info.name or str(metadata(obj).get("name") or "")
    if name:
        deleted = request.method == hdrs.METH_DELETE
        write.answered(info.key._replace(name=name), obj, deleted=deleted)
