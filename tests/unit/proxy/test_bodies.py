from __future__ import annotations

from typing import Any

import pytest

from reconcile_runner.errors import ApiError
from reconcile_runner.proxy.bodies import APPLY, JSON, MAX_YAML_VALUES, YAML, decode, encode, media_type


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
    decoded = decode(f"a: {text}\n".encode(), YAML)
    assert decoded == {"a": expected}
    assert type(decoded["a"]) is type(expected)


DEEP = b"[" * 100_000 + b"]" * 100_000


@pytest.mark.parametrize(
    "body", [b"a: &a {b: *a}", b"&a {b: [*a]}", b"&a {<<: *a, b: 1}", b"a: &a 1\nb: *a"], ids=range(4)
)
@pytest.mark.parametrize("encoding", [YAML, APPLY])
def test_yaml_with_aliases_is_refused_before_anything_is_made_of_it(body: bytes, encoding: str) -> None:
    with pytest.raises(ApiError, match=r"found the YAML alias \*a, expected what it stands for") as raised:
        decode(body, encoding)
    assert raised.value.status == 400


@pytest.mark.parametrize("body", [b"a: " + DEEP, DEEP], ids=["block", "flow"])
def test_yaml_that_is_too_deep_is_nothing_that_can_be_sent(body: bytes) -> None:
    assert decode(body, YAML) is None


def test_an_anchor_without_an_alias_is_yaml_as_any() -> None:
    assert decode(b"a: &a 1", YAML) == {"a": 1}


def test_yaml_has_so_many_values_at_most() -> None:
    most = b"a: [" + b"1, " * (MAX_YAML_VALUES - 3) + b"]"
    assert decode(most, YAML) is not None
    with pytest.raises(ApiError, match="expected JSON for that many") as raised:
        decode(most + b"\nb: 1", YAML)
    assert raised.value.status == 413


@pytest.mark.parametrize("tag", ["bool", "int", "float", "null", "binary", "timestamp", "omap", "pairs", "set", "seq"])
@pytest.mark.parametrize("text", ["''", "x", "[a]", "{a: b}", "[{a: b}]", "1" * 5000, "0x", "-"])
def test_a_value_that_does_not_fit_its_tag_is_none_or_something_else_but_no_exception(tag: str, text: str) -> None:
    decode(f"a: !!{tag} {text}\n".encode(), YAML)


def test_what_says_to_be_json_is_not_read_as_yaml() -> None:
    assert decode(b"a: 1", JSON) is None


@pytest.mark.parametrize("body", [b"", b"[]", b"1", b"a: [", b"\xff\xfe", b"a: !!python/object:os.system x", b"- a"])
def test_what_is_no_object_is_none(body: bytes) -> None:
    assert decode(body, YAML) is None
    assert decode(body, JSON) is None


def test_json_stays_as_it_is() -> None:
    text = b'{"a":{"b":["2026-01-01",1.0,null,true]}}'
    decoded = decode(text, JSON)
    assert decoded is not None
    assert encode(decoded) == text


def test_what_json_cannot_say_is_none() -> None:
    assert encode({"a": b"binary"}) is None


def test_a_media_type_has_no_parameters() -> None:
    assert media_type("Application/JSON; charset=utf-8") == "application/json"
