"""Objects in the bodies of requests, decoded as the API server decodes them."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any, Final

import yaml

from reconcile_runner.apimachinery import rawjson
from reconcile_runner.apimachinery.objects import KubeObject, metadata
from reconcile_runner.errors import ApiError

JSON: Final = "application/json"
YAML: Final = "application/yaml"
APPLY: Final = "application/apply-patch+yaml"
DECODABLE: Final = frozenset({"", JSON, YAML, APPLY})
"""Media types that ``decode`` reads; empty is an absent header, which the API server takes for JSON."""

_MAX_DEPTH: Final = 240
"""Levels of an object in YAML; a CRD with a generated schema has about a hundred."""
MAX_YAML_VALUES: Final = 100_000
"""Values in a body of YAML. Each takes 700 bytes until the object is made, and JSON has no such limit."""
_TAG: Final = "tag:yaml.org,2002:"
_REPLACED: Final = frozenset({"float", "int", "timestamp", "value"})
_UNFIT: Final = (yaml.YAMLError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What loading YAML raises: its constructors let through what they meet in a value that does not fit its tag."""


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


def decode_plain(body: bytes) -> KubeObject | None:
    """Return the object in a body of JSON; raises ``ValueError`` for what only ``decode`` reads."""
    return _object_in(rawjson.loads(body))


def decode(body: bytes, encoding: str) -> KubeObject | None:
    """Return the object in a body of one of the ``DECODABLE`` types, or None.

    It takes its time: seconds for a large body. JSON may be nested as deep as it likes, YAML up to ``_MAX_DEPTH``.
    Raises ``ApiError`` for YAML that would grow: 400 for aliases, 413 for more than ``MAX_YAML_VALUES``.
    """
    try:
        if encoding in {"", JSON}:
            return _object_in(rawjson.loads_in_parts(body))
        return _object_in(_load_yaml(body))
    except _UNFIT:
        return None


def _load_yaml(body: bytes) -> Any:
    try:
        return rawjson.loads(body)
    except ValueError:
        pass  # YAML that is no JSON, or deep JSON
    # The loader follows each level with a call in C, whose stack has an end that no exception tells of.
    if _is_too_deep(body):
        return rawjson.loads_in_parts(body)
    return yaml.load(body, _Loader)  # noqa: S506 - a safe loader


def _is_too_deep(body: bytes) -> bool:
    """Tell whether YAML is nested too deep, without making anything of it; raises ``ApiError`` as ``decode``."""
    depth = values = 0
    for event in yaml.parse(body, _Loader):
        if isinstance(event, yaml.AliasEvent):
            message = f"found the YAML alias *{event.anchor}, expected what it stands for: aliases are not taken"
            raise ApiError(HTTPStatus.BAD_REQUEST, "BadRequest", message)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        values += isinstance(event, yaml.NodeEvent)
        if values > MAX_YAML_VALUES:
            message = f"found more than {MAX_YAML_VALUES} values in YAML, expected JSON for that many"
            raise ApiError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "RequestEntityTooLarge", message)
        if depth > _MAX_DEPTH:
            return True
    return False


def _object_in(decoded: Any) -> KubeObject | None:
    return decoded if isinstance(decoded, dict) and isinstance(metadata(decoded), dict) else None


def encode(obj: KubeObject) -> bytes | None:
    """Return an object as JSON, or None: YAML may hold values that JSON has not."""
    try:
        return rawjson.dumps(obj)
    except TypeError:
        return None


def media_type(content_type: str) -> str:
    """Return the type in a ``Content-Type`` without its parameters."""
    return content_type.partition(";")[0].strip().lower()
