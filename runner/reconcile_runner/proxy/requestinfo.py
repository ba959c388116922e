"""What a request is about, read from its path.

It is apiserver's ``RequestInfo``, as far as the proxy needs it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs, unquote

from reconcile_runner.apimachinery.objects import ObjectKey

_CORE_PREFIX, _GROUP_PREFIX = "api", "apis"
_OLD_VERBS: Final = frozenset({"proxy", "watch"})
"""Verbs that were once part of paths. Such a request is sent on unchanged."""
_LONG_RUNNING_SUBRESOURCES: Final = frozenset({"attach", "exec", "log", "portforward", "proxy"})
_SUBRESOURCES_OF_NAMESPACES: Final = frozenset({"finalize", "status"})


@dataclass(frozen=True, slots=True)
class RequestInfo:
    """An object, a list (empty ``name``) or a subresource.

    ``namespace`` is empty for a list of all namespaces, and for cluster-scoped kinds.
    """

    group: str
    version: str
    plural: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    @property
    def key(self) -> ObjectKey:
        """Return the object's key."""
        return ObjectKey(self.namespace, self.name)

    @property
    def storage(self) -> tuple[str, str]:
        """Return group and plural, which all versions of a kind share."""
        return self.group, self.plural


def is_long_running(target: str) -> bool:
    """Return whether a request, by its path and query, may take any time, as kube-apiserver has it."""
    path, _, query = target.partition("?")
    info = parse_path(path)
    if info is None:
        return any(f"/{verb}/" in path for verb in _OLD_VERBS)
    is_watch = "watch" in parse_qs(query, keep_blank_values=True)
    return is_watch or info.subresource.partition("/")[0] in _LONG_RUNNING_SUBRESOURCES


def parse_path(path: str) -> RequestInfo | None:
    """Parse an escaped path, with or without a query.

    Returns None where the path names no resource (``/version``, discovery, ``/openapi``).
    """
    parts = [unquote(part) for part in path.partition("?")[0].strip("/").split("/")]
    match parts:
        case [prefix, version, *rest] if prefix == _CORE_PREFIX:
            group = ""
        case [prefix, group, version, *rest] if prefix == _GROUP_PREFIX:
            pass
        case _:
            return None
    if not rest or rest[0] in _OLD_VERBS:
        return None
    namespace = ""
    match rest:
        case ["namespaces", name, resource, *_] if resource not in _SUBRESOURCES_OF_NAMESPACES:
            namespace, rest = name, rest[2:]
        case _:
            pass
    name = rest[1] if len(rest) > 1 else ""
    return RequestInfo(group, version, rest[0], namespace, name, "/".join(rest[2:]))
