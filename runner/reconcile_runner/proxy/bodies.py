"""Objects in the bodies of requests, decoded as the API server decodes them."""

from __future__ import annotations

import re
from typing import Final

import yaml

from reconcile_runner.apimachinery import rawjson
from reconcile_runner.apimachinery.objects import KubeObject, metadata

JSON: Final = "application/json"
YAML: Final = "application/yaml"
APPLY: Final = "application/apply-patch+yaml"
DECODABLE: Final = frozenset({"", JSON, YAML, APPLY})
"""Media types that ``decode`` reads; empty is an absent header, which the API server takes for JSON."""

_MAX_DEPTH: Final = 240
"""Levels of an object in YAML; a CRD with a generated schema has about a hundred."""
_TAG: Final = "tag:yaml.org,2002:"
_REPLACED: Final = frozenset({"float", "int", "timestamp", "value"})


class _Loader(yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader):  # type: ignore[misc] # either is a class
    """YAML as the API server reads it.

    There are no dates and no base-60 numbers, and ``1e3`` is a number.
    """


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag.removeprefix(_TAG) not in _REPLACED]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    f"{_TAG}int", re.compile(r"[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+|0[0-7_]*|[1-9][0-9_]*)$"), list("-+0123456789")
)
_Loader.add_implicit_resolver(
    f"{_TAG}float",
    re.compile(r"[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?$"),
    list("-+.0123456789"),
)


def decode(body: bytes) -> KubeObject | None:
    """Return the object in a body of one of the ``DECODABLE`` types, or None.

    JSON may be nested as deep as it likes, YAML up to ``_MAX_DEPTH``.
    """
    try:
        decoded = rawjson.loads(body)
    except ValueError:
        try:
            # The loader follows each level with a call in C, whose stack has an end that no exception tells of.
            decoded = rawjson.loads_in_parts(body) if _is_too_deep(body) else yaml.load(body, _Loader)  # noqa: S506 - a safe loader
        except (yaml.YAMLError, ValueError):
            return None
    return decoded if isinstance(decoded, dict) and isinstance(metadata(decoded), dict) else None


def _is_too_deep(body: bytes) -> bool:
    depth = 0
    for event in yaml.parse(body, _Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _MAX_DEPTH:
            return True
    return False


def encode(obj: KubeObject) -> bytes | None:
    """Return an object as JSON, or None: YAML may hold values that JSON has not."""
    try:
        return rawjson.dumps(obj)
    except TypeError:
        return None


def media_type(content_type: str) -> str:
    """Return the type in a ``Content-Type`` without its parameters."""
    return content_type.partition(";")[0].strip().lower()
