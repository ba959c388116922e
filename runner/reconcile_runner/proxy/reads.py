"""Answers reads from the cache.

The answers are the API server's, field for field. Not answered here: kinds that are not watched, watches, subresources
other than ``status``, tables, pages, selectors over other fields, and objects that the cache does not have; nor
anything while a cache is incomplete, disconnected, or does not show yet what the run itself wrote.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from aiohttp import web

from reconcile_runner.apimachinery import rawjson
from reconcile_runner.apimachinery.labels import EVERYTHING, LabelSelector, parse_field_selector, parse_label_selector
from reconcile_runner.apimachinery.objects import GroupVersionKind, KubeObject, ObjectKey, labels, metadata
from reconcile_runner.cache.cache import View
from reconcile_runner.cache.informer import Informer
from reconcile_runner.client.discovery import Resource
from reconcile_runner.proxy.consistency import RunWrites
from reconcile_runner.proxy.requestinfo import RequestInfo

MAX_SCANNED: Final = 5000
"""Objects of a kind beyond which a list that must look at each of them is sent to the API server."""
MAX_LISTED: Final = 500
"""Objects beyond which a list is sent to the API server: encoding them would block the event loop for 20 ms."""

CACHE_HEADER: Final = "X-Cache"
CACHE_HIT: Final = "HIT"
"""What an answer from the cache has among its headers."""

_NOT_CUT_DOWN: Final = frozenset({GroupVersionKind("apps", "v1", "DaemonSet")})
"""Kinds whose whole objects have an annotation that the API server leaves out where it answers with metadata alone."""

_META: Final = {"apiVersion": "meta.k8s.io/v1"}
_PARTIAL: Final = "PartialObjectMetadata"
_WHOLE_TYPES: Final = frozenset({"", "*/*", "application/json"})
_OFF: Final = frozenset({"", "0", "false"})
_ANY_VERSION: Final = frozenset({"", "0"})


class Views(Protocol):
    """Views of cached kinds. ``cache.cache.Cache`` is one."""

    def view(self, gvk: GroupVersionKind, namespace: str, *, whole: bool) -> View | None:
        """Return a kind in a namespace (empty: all).

        None unless it is complete and connected.
        """


class Plurals(Protocol):
    """Resources by their plural. ``client.discovery.Discovery`` is one."""

    def known_plural(self, group: str, version: str, plural: str) -> Resource | None:
        """Return the resource that a path names.

        None where it is not known without a request.
        """


@dataclass(frozen=True, slots=True)
class _Query:
    """The parameters of a list. ``limit`` 0: none."""

    selector: LabelSelector
    fields: dict[str, str]
    limit: int


class CachedReads:
    """Answers a run's reads from the cache."""

    def __init__(self, views: Views, plurals: Plurals) -> None:
        self._views = views
        self._plurals = plurals

    def answer(self, request: web.Request, info: RequestInfo, writes: RunWrites) -> web.Response | None:
        """Return the answer to a GET, or None where the API server must give it."""
        partial = _asks_for_partial(request.headers.get("Accept", ""))
        resource = self._plurals.known_plural(info.group, info.version, info.plural)
        if partial is None or resource is None or not _is_served(info, resource):
            return None
        view = self._views.view(resource.gvk, info.namespace, whole=not partial)
        if view is not None and partial and not view.informer.metadata_only and resource.gvk in _NOT_CUT_DOWN:
            return None
        if view is None or not writes.are_shown_by(view.informer, info.storage):
            return None
        body = _get(request, info, view) if info.name else _list(request, info, view, resource, partial=partial)
        if body is None:
            return None
        if info.name and partial:
            body = _cut_down(body)
        return web.Response(
            body=rawjson.dumps(body), content_type="application/json", headers={CACHE_HEADER: CACHE_HIT}
        )


def _is_served(info: RequestInfo, resource: Resource) -> bool:
    """Tell whether a path is one of the kind's: its scope, and a status where the kind has one."""
    if info.subresource and not (info.name and info.subresource == "status" and "status" in resource.subresources):
        return False
    return resource.namespaced or not info.namespace


def _asks_for_partial(accept: str) -> bool | None:
    """Tell whether metadata alone is asked for.

    None: a form is asked for that the cache does not have.
    """
    first, *parameters = (part.strip() for part in accept.partition(",")[0].split(";"))
    wanted = dict(parameter.partition("=")[::2] for parameter in parameters if not parameter.startswith("q="))
    if first not in _WHOLE_TYPES:
        return None
    if not wanted:
        return False
    partial = wanted.get("as", "").removesuffix("List") == _PARTIAL and wanted.get("g") == "meta.k8s.io"
    return True if partial and wanted.get("v") == "v1" else None


def _get(request: web.Request, info: RequestInfo, view: View) -> KubeObject | None:
    query = {name: value for name, value in request.query.items() if value}
    if query.pop("resourceVersion", "") not in _ANY_VERSION or query:
        return None
    return _stored(view.informer, info.key)


def _stored(kind: Informer, key: ObjectKey) -> KubeObject | None:
    """Return an object as the API server sent it; to be encoded, not to be looked into."""
    obj, managed_fields = kind.get(key), kind.managed_fields(key)
    if obj is None or managed_fields is None:
        return obj
    return {**obj, "metadata": {**metadata(obj), "managedFields": rawjson.RawJson(managed_fields)}}


def _list(
    request: web.Request, info: RequestInfo, view: View, resource: Resource, *, partial: bool
) -> KubeObject | None:
    query = _read_query(request, view)
    if query is None or ("metadata.namespace" in query.fields and not resource.namespaced):
        return None
    keys = _candidates(info, query, view.informer)
    if keys is None:
        return None
    found = [key for key in keys if (obj := view.informer.get(key)) is not None and _matches(query, obj)]
    if len(found) > (query.limit or MAX_LISTED) or len(found) > MAX_LISTED:
        return None
    found.sort(key=_place_in_list)
    items: list[KubeObject] | None = [obj for key in found if (obj := _stored(view.informer, key)) is not None]
    head, meta = _whole_head(view), view.listing.metadata
    if partial:
        head, meta = {"kind": f"{_PARTIAL}List", **_META}, {}
        items = [_cut_down(obj) for obj in items or ()] or None  # as the API server says of such a list without items
    elif not _items_have_kind(view):
        items = [
            {name: part for name, part in obj.items() if name not in ("apiVersion", "kind")} for obj in items or ()
        ]
    return {**head, "metadata": {**meta, "resourceVersion": view.resource_version}, "items": items}


def _place_in_list(key: ObjectKey) -> str:
    """Return what the API server orders a list by, which is the object's key in etcd."""
    return str(key)


def _read_query(request: web.Request, view: View) -> _Query | None:
    """Return the parameters of a list.

    None where one of them cannot be answered from the cache.
    """
    query = {name: value for name, value in request.query.items() if value}
    if len(query) != len([value for value in request.query.values() if value]):
        return None  # a parameter is given twice
    if query.pop("watch", "") not in _OFF:
        return None
    version = query.pop("resourceVersion", "")
    if version not in {*_ANY_VERSION, view.resource_version}:
        return None
    match = query.pop("resourceVersionMatch", "")
    if match and (match != "NotOlderThan" or not version):
        return None
    selector = parse_label_selector(query.pop("labelSelector", ""))
    fields = parse_field_selector(query.pop("fieldSelector", ""))
    limit = query.pop("limit", "0")
    if query or selector is None or fields is None or not (limit.isascii() and limit.isdigit()):
        return None
    return _Query(selector, fields, int(limit))


def _candidates(info: RequestInfo, query: _Query, kind: Informer) -> Iterable[ObjectKey] | None:
    """Return the keys of the objects that a list must look at.

    None where they are too many.
    """
    name = query.fields.get("metadata.name")
    namespace = info.namespace or query.fields.get("metadata.namespace", "")
    if query.fields.get("metadata.namespace", namespace) != namespace:
        return ()
    if name is not None and namespace:
        return (ObjectKey(namespace, name),)
    if len(kind.keys()) > MAX_SCANNED:
        return None
    return [key for key in kind.keys() if namespace in ("", key.namespace) and name in (None, key.name)]  # noqa: SIM118


def _matches(query: _Query, obj: KubeObject) -> bool:
    return query.selector is EVERYTHING or query.selector.matches(labels(obj))


def _whole_head(view: View) -> dict[str, str]:
    """Return the list's own kind and version.

    A cache of partial objects answers no whole list.
    """
    return {"kind": view.listing.kind, "apiVersion": view.listing.api_version}


def _items_have_kind(view: View) -> bool:
    """Tell whether a list's items have ``kind``.

    Custom resources have, built-in kinds have not.
    """
    if view.listing.items_have_kind is not None:
        return view.listing.items_have_kind
    group = view.informer.gvk.group
    return "." in group and not group.endswith(".k8s.io")


def _cut_down(obj: KubeObject) -> KubeObject:
    return {"kind": _PARTIAL, **_META, "metadata": metadata(obj)}
