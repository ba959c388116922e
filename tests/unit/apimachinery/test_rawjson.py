"""JSON of any depth: what cannot be decoded costs that part only, and is written again as it was."""

from __future__ import annotations

import json

import pytest

from reconcile_runner.apimachinery.rawjson import MAX_DEPTH, RawJson, dumps, loads, loads_in_parts


def nested(depth: int) -> str:
    return '{"a":[' * (depth // 2) + "1" + "]}" * (depth // 2)


def item(name: str, value: str) -> str:
    fields = f'"metadata":{{"name":"{name}","managedFields":[{value}]}},"spec":{value}'
    return f'{{{fields},"status":{{"conditions":[{{"type":"]}},"}}],"x":{value}}}}}'


@pytest.mark.parametrize("depth", [MAX_DEPTH + 2, 1024, 1026, 9_000])
def test_a_deep_object_costs_no_more_than_its_deep_fields(depth: int) -> None:
    text = f'{{"kind":"L","items":[{item("a", "1")},{item("deep", nested(depth))},{item("b", "2")}]}}'.encode()
    decoded = loads_in_parts(text)
    assert [one["metadata"]["name"] for one in decoded["items"]] == ["a", "deep", "b"]
    deep = decoded["items"][1]
    raw = RawJson(nested(depth).encode())
    assert (deep["spec"], deep["metadata"]["managedFields"], deep["status"]["x"]) == (
        raw,
        RawJson(b"[" + raw + b"]"),
        raw,
    )
    assert deep["status"]["conditions"] == [{"type": "]},"}]
    assert dumps(decoded) == text


@pytest.mark.parametrize("depth", [MAX_DEPTH, MAX_DEPTH + 2, 1024])
def test_whatever_is_decoded_can_be_written_again(depth: int) -> None:
    text = nested(depth).encode()
    if depth <= MAX_DEPTH:
        assert dumps(loads(text)) == text
    else:
        with pytest.raises(ValueError, match="deeper than 254"):
            loads(text)


def test_a_field_that_takes_itself_apart_is_not_followed_without_end() -> None:
    text = ('{"status":' * 9_000 + "1" + "}" * 9_000).encode()
    assert dumps(loads_in_parts(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        '{"type":"ADD',
        "<html>",
        '{"a":1}x{',
        '{"a":' + nested(2_000)[:-3],
        "[]]",
        "",
        '{"a":"' + '\\"' * 500_000,
        "{a:" + nested(2_000) + "}",
        "{," + nested(2_000) + "}",
    ],
    ids=["cut", "html", "more after it", "cut deep", "closed twice", "empty", "cut text", "no name", "comma"],
)
def test_a_text_that_is_cut_or_no_json_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        loads_in_parts(text.encode())


def test_equal_texts_are_equal_values_so_that_nothing_seems_changed() -> None:
    first, second = (loads_in_parts(f'{{"spec":{nested(3_000)}}}'.encode()) for _ in range(2))
    assert first == second


def test_large_and_odd_values_are_decoded_whole() -> None:
    value = {"text": "x" * 1_500_000, "keys": {f"k{n}": n for n in range(100_000)}, "odd": '\x00\u2028\U0001f600"\\'}
    text = json.dumps({"metadata": {"name": "a"}, "spec": value}).encode()
    assert loads_in_parts(text) == json.loads(text)
