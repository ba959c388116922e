"""Whatever stands in a watches file: it is read, or refused with findings that name the file. Never another exception.

The corpus is that of test_watchesfile.py. What a mutation has found once belongs into ``FOUND``.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from reconcile_runner.watches.loader import WatchesFileError
from tests.unit.watches.test_watchesfile import ENVIRON, WATCHES, load_text

CORPUS: Final = sorted(WATCHES.glob("*.yaml"))
ROUNDS: Final = 6
"""Mutations of each file of the corpus."""

PIECES: Final = (
    *(b"\x00", b"\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\r", b"\t", b"  ", b"\n", b"---\n", b"...", b": ", b"- "),
    *(b"&a ", b"*a", b"<<: ", b"!!python/object:os.system ", b"!!binary ", b"? ", b"|\n", b">\n", b"%YAML 9.9\n"),
    *(
        b"${",
        b"$VERSION",
        b"$$",
        b"{",
        b"}",
        b"[",
        b"]" * 500,
        b"[" * 2000,
        b"{a: " * 3000,
        b"1e999",
        b"0x",
        b"'",
        b'"',
    ),
    *(b"9" * 5000, b"2026-99-99", b"y" * 20_000, "\u2028\u202e\U0010ffff".encode()),
)
VALUES: Final[tuple[object, ...]] = (
    *(None, True, 0, -1, 10**400, 1e308, float("nan"), float("-inf"), "", " ", "\x00", "\ud800", "a" * 20_000, "$x"),
    *([], [[]], {}, {"": ""}, {1: 2}, {None: None}, {"a": {"b": [{}]}}, "{{ x }}", "../..", "/", ".", "~", "a\nb"),
)


def bytes_changed(text: bytes, chance: random.Random) -> bytes:
    for _ in range(chance.randrange(1, 4)):
        first, last = sorted(chance.choices(range(len(text) + 1), k=2))
        match chance.choice(["put", "cut", "flip", "twice"]):
            case "put":
                text = text[:first] + chance.choice(PIECES) + text[first:]
            case "cut":
                text = text[:first] + text[min(last, first + 20) :]
            case "flip" if text:
                place = min(first, len(text) - 1)
                text = text[:place] + bytes([text[place] ^ 1 << chance.randrange(8)]) + text[place + 1 :]
            case _:
                text = text[:last] + text[first:]
    return text


def places(value: Any) -> list[tuple[Any, Any]]:
    """Return each container in a value with each of its keys. A value that holds itself has no end: nothing."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, each in items for place in [(value, key), *places(each)]]


def structure_changed(text: bytes, chance: random.Random) -> bytes:
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        return text
    try:
        found = places(value)
    except RecursionError:
        return text
    if not found:
        return yaml.safe_dump(chance.choice(VALUES), allow_unicode=True).encode("utf-8", "surrogatepass")
    container, key = chance.choice(found)
    match chance.choice(["value", "another", "key"]):
        case "value":
            container[key] = copy.deepcopy(chance.choice(VALUES))
        case "another":
            other, place = chance.choice(found)
            container[key] = copy.deepcopy(other[place])
        case _ if isinstance(container, dict):
            container[chance.choice(["", "vars", "role", "triggers", 1, None, "x" * 300])] = container.pop(key)
        case _:
            container.append(copy.deepcopy(container[key]))
    return yaml.safe_dump(value, allow_unicode=True).encode("utf-8", "surrogatepass")


def check(tmp_path: Path, text: bytes) -> None:
    refusal = ""
    try:
        load_text(tmp_path, text, ENVIRON)
    except WatchesFileError as error:
        refusal = str(error)
    assert not refusal or str(tmp_path / "watches.yaml") in refusal


@pytest.mark.parametrize("change", [bytes_changed, structure_changed])
@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_whatever_is_changed_it_is_read_or_refused_by_name(
    path: Path, change: Callable[[bytes, random.Random], bytes], tmp_path: Path
) -> None:
    for seed in range(ROUNDS):
        text = change(path.read_bytes(), random.Random(f"{path.stem} {seed}"))  # noqa: S311 - to be repeated
        try:
            check(tmp_path, text)
        except Exception as error:
            kept = tmp_path / "found.yaml"
            kept.write_bytes(text)
            raise AssertionError(f"seed {seed}: kept as {kept}") from error


FOUND: Final[dict[str, bytes]] = {
    "aliases that expand to much": b"- &a [x, x]\n- &b [*a, *a]\n- &c [*b, *b]\n",
    "a key that is no text": b"- {1: 2, version: v1, kind: A, role: foo}\n",
    "half a character": b'- {version: "\\ud800", kind: A, role: foo}\n- {"\\ud800": A}\n',
}
"""What was found once, and what such files are found by."""


@pytest.mark.parametrize("text", FOUND.values(), ids=FOUND)
def test_what_was_found_once(text: bytes, tmp_path: Path) -> None:
    check(tmp_path, text)


def test_aliases_are_not_expanded_one_by_one(tmp_path: Path) -> None:
    lines = ["- &a0 [" + ", ".join(["x"] * 10) + "]"]
    lines += [f"- &a{number} [" + ", ".join([f"*a{number - 1}"] * 10) + "]" for number in range(1, 12)]
    check(tmp_path, "\n".join(lines).encode())  # 10**12 values would never end
