"""JSON of any depth: what cannot be decoded is kept as it was written.

The API server takes objects that are nested up to 10,000 levels deep. Decoders stop earlier, and one such object must
not make a whole list unreadable. What ``loads`` returns is never deeper than what ``dumps`` takes.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any, Final

import orjson

MAX_DEPTH: Final = 254
"""Levels that orjson encodes. It decodes 1,024, but nothing may be cached that cannot be written again."""
_SPLIT_LEVELS: Final = 4
"""Levels that are taken apart: a list, its items, an item, and its ``metadata`` or ``status``."""
_SPLIT_FIELDS: Final = frozenset({"items", "object", "metadata", "status"})
"""Fields that are taken apart: of a list, of an event of a watch, of an object."""
_STRUCTURE: Final = re.compile(rb'(?:[^"\[\]{},]++|"(?:[^"\\]++|\\.)*+(?:"|\\?\Z))*+([\[\]{},])', re.DOTALL)
"""The next character that makes a structure. Texts before it are skipped, one that is cut up to its end."""
_MEMBER: Final = re.compile(rb'\s*+("(?:[^"\\]++|\\.)*+")\s*+:', re.DOTALL)


class RawJson(bytes):
    """A value that was not decoded: its JSON as it was written."""

    __slots__ = ()


def loads(text: bytes) -> Any:
    """Return a value. Raises ``ValueError`` where it is no JSON, or is nested deeper than ``MAX_DEPTH``."""
    value = orjson.loads(text)
    if text.count(b"{") + text.count(b"[") > MAX_DEPTH:
        try:
            orjson.dumps(value)
        except orjson.JSONEncodeError as error:
            raise ValueError(f"nested deeper than {MAX_DEPTH}") from error
    return value


def loads_in_parts(text: bytes) -> Any:
    """Return a value, with ``RawJson`` in the place of the parts that ``loads`` refuses.

    Of an object these are single fields of its ``metadata`` and ``status``, and any other field as a whole. Raises
    ``ValueError`` for a text that is cut, or is neither an object nor an array.
    """
    try:
        return loads(text)
    except ValueError:
        return _split(text.strip(), _SPLIT_LEVELS)


async def loads_aside(text: bytes) -> Any:
    """Return what ``loads_in_parts`` returns; where that takes long, in a thread.

    An object of 100,000 fields of which one is too deep takes more than a second.
    """
    try:
        return loads(text)
    except ValueError:
        return await asyncio.to_thread(loads_in_parts, text)


def dumps(value: Any) -> bytes:
    """Return JSON, with each ``RawJson`` as it was written.

    Raises ``TypeError`` for what JSON does not have, and for what is nested deeper than ``MAX_DEPTH``.
    """
    return orjson.dumps(value, default=_raw)


def _raw(value: object) -> orjson.Fragment:
    if isinstance(value, RawJson):
        return orjson.Fragment(bytes(value))
    raise TypeError(f"{type(value).__name__} is no JSON")


def _split(text: bytes, levels: int) -> dict[str, Any] | list[Any]:
    if text.startswith(b"{"):
        return dict(_member(part, levels) for part in _parts(text))
    if text.startswith(b"["):
        return [_value(part, levels - 1) for part in _parts(text)]
    raise ValueError("neither an object nor an array")


def _member(part: bytes, levels: int) -> tuple[str, Any]:
    found = _MEMBER.match(part)
    if found is None:
        raise ValueError("a member without a name")
    name = orjson.loads(found[1])
    return name, _value(part[found.end() :], levels - 1 if name in _SPLIT_FIELDS else 0)


def _value(text: bytes, levels: int) -> Any:
    """Return a value, taken apart down to ``levels`` where it cannot be decoded as a whole."""
    text = text.strip()
    try:
        return loads(text)
    except ValueError:
        if not text:
            raise
    try:
        return _split(text, levels) if levels else RawJson(text)
    except ValueError:
        return RawJson(text)


def _parts(text: bytes) -> Iterator[bytes]:
    """Yield what stands between the commas of the outermost object or array."""
    depth, start, end = 0, 1, 0
    while found := _STRUCTURE.match(text, end):
        end = found.end()
        character, position = found[1], found.start(1)
        if character in b"[{":
            depth += 1
        elif character == b",":
            if depth == 1:
                yield text[start:position]
                start = position + 1
        else:
            depth -= 1
            if depth == 0 and position == len(text) - 1:
                yield text[start:position]
                return
    raise ValueError("it is cut, or something follows it")
