"""The owner of an object that is sent as Kubernetes' protobuf, which Helm and kubectl speak.

Of an object, only its owners and annotations are read, and only further ones are added: all else stays as it came,
whatever its kind. The numbers are those of apimachinery's ``generated.proto`` files; ``metadata`` is the first field of
each kind that is stored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from reconcile_runner.apimachinery.objects import metadata
from reconcile_runner.apimachinery.owners import Owner, set_owner

PROTOBUF: Final = "application/vnd.kubernetes.protobuf"

_MAGIC: Final = b"k8s\x00"
_RAW, _ENCODING = 2, 3
"""Fields of ``runtime.Unknown``, the envelope: the object, and how it is compressed."""
_METADATA: Final = 1
_ANNOTATIONS, _OWNER_REFERENCES = 12, 13
"""Fields of ``ObjectMeta``."""
_REFERENCE: Final[Mapping[int, str]] = {1: "kind", 3: "name", 4: "uid", 5: "apiVersion"}
"""Fields of ``OwnerReference``, as far as they say who the owner is."""
_KEY, _VALUE = 1, 2
"""Fields of a map's entry."""

_FIXED_BYTES: Final[Mapping[int, int]] = {1: 8, 5: 4}
"""How long values of a wire type are, where all are alike."""
_VARINT, _LENGTH_DELIMITED = 0, 2
"""The other wire types: numbers; strings and messages."""
_TYPE_BITS: Final = 3
_MORE: Final = 0x80
"""The bit of a varint's byte that says that another one follows."""


@dataclass(frozen=True, slots=True)
class _Field:
    """A field of a message. ``value`` is empty unless it is of the wire type for strings and messages."""

    number: int
    encoded: bytes
    value: bytes = b""


def with_owner(body: bytes, owner: Owner, namespace: str, *, replaces: bool) -> bytes | None:
    """Return a body with the owner set, as ``set_owner`` sets it; None where it has one, or cannot be read.

    ``replaces``: a body that names any owner says all that there is to say about owners.
    """
    try:
        if not body.startswith(_MAGIC):
            return None
        parts, envelope = _split(body.removeprefix(_MAGIC), _RAW)
        if not parts or any(_split(envelope, _ENCODING)[0][-1:]):
            return None
        metas, content = _split(parts[-1], _METADATA)
        meta = b"".join(metas)
        added = _added(meta, owner, namespace, replaces=replaces)
    except ValueError:
        return None
    if not added:
        return None
    return _MAGIC + envelope + _encoded(_RAW, _encoded(_METADATA, meta + added) + content)


def _split(message: bytes, number: int) -> tuple[list[bytes], bytes]:
    """Return the values of one field, and the message without it."""
    values, others = [], bytearray()
    for one in _fields(message):
        if one.number == number:
            values.append(one.value)
        else:
            others += one.encoded
    return values, bytes(others)


def _added(meta: bytes, owner: Owner, namespace: str, *, replaces: bool) -> bytes:
    """Return what is to follow an object's metadata for the owner to be set."""
    references = [_reference(one.value) for one in _fields(meta) if one.number == _OWNER_REFERENCES]
    if references and replaces:
        return b""
    annotations = dict(_entry(one.value) for one in _fields(meta) if one.number == _ANNOTATIONS)
    obj: dict[str, Any] = {"metadata": {"ownerReferences": references, "annotations": annotations}}
    new = metadata(set_owner(obj, owner, namespace))
    fields = [_encoded(_OWNER_REFERENCES, _encode_reference(one)) for one in new["ownerReferences"][len(references) :]]
    for name, text in new["annotations"].items():
        if name not in annotations:
            fields.append(_encoded(_ANNOTATIONS, _encoded(_KEY, name.encode()) + _encoded(_VALUE, text.encode())))
    return b"".join(fields)


def _reference(message: bytes) -> dict[str, str]:
    return {_REFERENCE[one.number]: one.value.decode() for one in _fields(message) if one.number in _REFERENCE}


def _encode_reference(reference: Mapping[str, str]) -> bytes:
    return b"".join(_encoded(number, reference[name].encode()) for number, name in _REFERENCE.items())


def _entry(message: bytes) -> tuple[str, str]:
    found = {one.number: one.value.decode() for one in _fields(message)}
    return found.get(_KEY, ""), found.get(_VALUE, "")


def _fields(message: bytes) -> Iterator[_Field]:
    """Yield the fields of a message; raises ``ValueError`` where it is none."""
    position = 0
    while position < len(message):
        start = position
        tag, position = _varint(message, position)
        wire_type, value = tag % 2**_TYPE_BITS, b""
        if wire_type == _VARINT:
            _, position = _varint(message, position)
        elif wire_type == _LENGTH_DELIMITED:
            length, position = _varint(message, position)
            value = message[position : position + length]
            position += length
        elif wire_type in _FIXED_BYTES:
            position += _FIXED_BYTES[wire_type]
        else:
            raise ValueError(f"found a field of wire type {wire_type}")
        if position > len(message):
            raise ValueError("a field is cut off")
        yield _Field(tag >> _TYPE_BITS, message[start:position], value)


def _varint(message: bytes, position: int) -> tuple[int, int]:
    """Return a number, and where it ends."""
    number = shift = 0
    while position < len(message):
        byte = message[position]
        number |= byte % _MORE << shift
        position, shift = position + 1, shift + 7
        if byte < _MORE:
            return number, position
    raise ValueError("a number is cut off")


def _encoded(number: int, value: bytes) -> bytes:
    """Return a field that holds a string or a message."""
    return _encode_varint(number << _TYPE_BITS | _LENGTH_DELIMITED) + _encode_varint(len(value)) + value


def _encode_varint(number: int) -> bytes:
    encoded = bytearray()
    while number >= _MORE:
        encoded.append(number % _MORE | _MORE)
        number //= _MORE
    encoded.append(number)
    return bytes(encoded)
