"""Owners of objects in protobuf: what is added, what stays, what is no protobuf.

The API server reads them in tests of the tier that has one.
"""

from __future__ import annotations

import random

import pytest

from reconcile_runner.apimachinery.objects import GroupVersionKind, ObjectKey
from reconcile_runner.apimachinery.owners import Owner
from reconcile_runner.proxy.protobuf import with_owner

OWNER = Owner(GroupVersionKind("g", "v1", "K"), ObjectKey("n", "a"), "u")
MAGIC = b"k8s\x00"


def field(number: int, value: bytes) -> bytes:
    assert len(value) < 128
    return bytes([number * 8 + 2, len(value)]) + value


REFERENCE = field(13, field(1, b"K") + field(3, b"a") + field(4, b"u") + field(5, b"g/v1"))
OTHER = field(13, field(1, b"K") + field(3, b"b") + field(4, b"v") + field(5, b"g/v1") + bytes([6 * 8, 1]))
TYPE = field(1, field(1, b"v1") + field(2, b"Secret"))
# A number, eight and four bytes, a string: as fields of a kind that is not known here.
REST = bytes([5 * 8, 0x96, 1]) + bytes([6 * 8 + 1]) + b"8 bytes." + bytes([7 * 8 + 5]) + b"four" + field(2, b"data")


def secret(meta: bytes, *, rest: bytes = REST, encoding: bytes = b"") -> bytes:
    return MAGIC + TYPE + field(2, field(1, meta) + rest) + (field(3, encoding) if encoding else b"")


def test_the_owner_follows_what_is_there_and_the_rest_stays() -> None:
    name = field(1, b"s")
    assert with_owner(secret(name), OWNER, "n", replaces=False) == secret(name + REFERENCE)
    assert with_owner(secret(name + OTHER), OWNER, "n", replaces=False) == secret(name + OTHER + REFERENCE)


def test_an_object_without_metadata_gets_some() -> None:
    assert with_owner(MAGIC + TYPE + field(2, REST), OWNER, "n", replaces=False) == secret(REFERENCE)


def test_an_object_that_has_the_owner_stays() -> None:
    assert with_owner(secret(REFERENCE), OWNER, "n", replaces=False) is None


def test_a_replacement_that_names_owners_says_all_there_is_to_say() -> None:
    assert with_owner(secret(OTHER), OWNER, "n", replaces=True) is None
    assert with_owner(secret(b""), OWNER, "n", replaces=True) == secret(REFERENCE)


def test_an_owner_out_of_reach_is_named_in_annotations_unless_they_name_one() -> None:
    mine = field(12, field(1, b"a") + field(2, b"b"))
    named = with_owner(secret(mine, rest=b""), OWNER, "m", replaces=False)
    assert named is not None
    assert b"operator-sdk/primary-resource\x12\x03n/a" in named
    assert b"operator-sdk/primary-resource-type\x12\x03K.g" in named
    assert mine in named
    assert with_owner(named, OWNER, "m", replaces=False) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"k8s",
        b"{}",
        MAGIC,
        MAGIC + TYPE,
        MAGIC + b"\x12\x7f",
        MAGIC + b"\x13",
        MAGIC + b"\xff",
        secret(b"\x0a"),
        secret(field(12, b"\x0a\x7f")),
        secret(field(13, field(4, b"\xff"))),
        secret(b"", encoding=b"gzip"),
    ],
)
def test_what_cannot_be_read_is_left_as_it_is(body: bytes) -> None:
    assert with_owner(body, OWNER, "n", replaces=False) is None


def test_no_bytes_are_too_strange() -> None:
    chance = random.Random(7)  # noqa: S311 - no secret
    body = secret(field(1, b"s") + OTHER)
    for _ in range(2000):
        changed = bytearray(body)
        for _ in range(chance.randint(1, 4)):
            changed[chance.randrange(4, len(changed))] = chance.randrange(256)
        with_owner(bytes(changed), OWNER, "n", replaces=False)
