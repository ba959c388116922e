"""How the texts of flags are read, whichever flag it is. Each raises ``typer.BadParameter`` that names the flag."""

from __future__ import annotations

import re

import typer

from runner.duration import parse_duration

_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})
_SIZE = re.compile(r"(?P<number>[0-9]{1,15})(?P<unit>|Ki|Mi|Gi|Ti)")
_SIZE_UNITS = ("", "Ki", "Mi", "Gi", "Ti")


def boolean(flag: str, text: str) -> bool:
    """Read what Go's ``strconv.ParseBool`` reads."""
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    raise typer.BadParameter(f"found {text!r}, expected true or false", param_hint=flag)


def duration(flag: str, text: str) -> float:
    """Return seconds."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=flag) from error


def size(flag: str, text: str) -> int | None:
    """Return bytes: a Kubernetes quantity such as 128Mi, or a number; None for ``unlimited``."""
    if text == "unlimited":
        return None
    found = _SIZE.fullmatch(text)
    if found is None:
        raise typer.BadParameter(f"found {text!r}, expected a size such as 128Mi, 0 or unlimited", param_hint=flag)
    return int(found["number"]) << 10 * _SIZE_UNITS.index(found["unit"])
