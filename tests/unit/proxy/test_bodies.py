from __future__ import annotations

from typing import Any

import pytest

from reconcile_runner.proxy.bodies import decode, encode, media_type


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("22:22", "22:22"),
        ("12:30:45", "12:30:45"),
        ("2026-01-01", "2026-01-01"),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
        ("yes", True),
        ("off", False),
        ("1e3", 1000.0),
        ("1.5", 1.5),
        ("0x1f", 31),
        ("10", 10),
        ("-3", -3),
        ("1.2.3", "1.2.3"),
        ("'1'", "1"),
        ("~", None),
        ("=", "="),
    ],
)
def test_yaml_scalars_are_what_the_api_server_takes_them_for(text: str, expected: Any) -> None:
    decoded = decode(f"a: {text}\n".encode())
    assert decoded == {"a": expected}
    assert type(decoded["a"]) is type(expected)


DEEP = b"[" * 100_000 + b"]" * 100_000


@pytest.mark.parametrize(
    "body", [b"a: &a {b: *a}", b"&a {b: [*a]}", b"a: " + DEEP, DEEP, b"&a {<<: *a, b: 1}"], ids=range(5)
)
def test_yaml_that_holds_itself_or_is_too_deep_is_nothing_that_can_be_sent(body: bytes) -> None:
    decoded = decode(body)
    assert decoded is None or encode(decoded) in {None, b'{"b":1}'}


@pytest.mark.parametrize("body", [b"", b"[]", b"1", b"a: [", b"\xff\xfe", b"a: !!python/object:os.system x", b"- a"])
def test_what_is_no_object_is_none(body: bytes) -> None:
    assert decode(body) is None


def test_json_stays_as_it_is() -> None:
    text = b'{"a":{"b":["2026-01-01",1.0,null,true]}}'
    decoded = decode(text)
    assert decoded is not None
    assert encode(decoded) == text


def test_what_json_cannot_say_is_none() -> None:
    assert encode({"a": b"binary"}) is None


def test_a_media_type_has_no_parameters() -> None:
    assert media_type("Application/JSON; charset=utf-8") == "application/json"
