from __future__ import annotations

import pytest

from reconcile_runner.apimachinery.duration import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("0s", 0.0),
        ("-0s", 0.0),
        ("10h", 36000.0),
        ("1h30m", 5400.0),
        ("1.5h", 5400.0),
        (".5s", 0.5),
        ("500ms", 0.5),
        ("5µs", 0.000005),
        ("+3s", 3.0),
    ],
)
def test_reads_what_go_reads(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "10", "5 s", "1h 30m", "5d", "1y", "soon", "s", "5S", "1e3s", "٣s", "5s\n"])
def test_refuses_what_go_refuses_and_says_what_is_expected(text: str) -> None:
    with pytest.raises(ValueError, match="expected a number with a unit, such as 30s, 10m or 1h30m"):
        parse_duration(text)


def test_refuses_a_negative_duration() -> None:
    with pytest.raises(ValueError, match="found '-5s', expected a duration that is not negative"):
        parse_duration("-5s")


def test_refuses_a_duration_out_of_range() -> None:
    with pytest.raises(ValueError, match="out of range"):
        parse_duration("999999999999h")
