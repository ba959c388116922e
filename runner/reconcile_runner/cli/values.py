"""How flags are declared, and how their texts are read.

A function that reads a text raises ``typer.BadParameter``: what was found, and what was expected.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import typer

from reconcile_runner.apimachinery.duration import parse_duration
from reconcile_runner.options import BindAddress, LogLevel

OBJECT_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
"""The name of an object, as most kinds have it (RFC 1123 subdomain)."""

NAMESPACE_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
"""The name of a namespace (RFC 1123 label)."""

MAX_PORT = 65535

_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})
_SIZE = re.compile(r"(?P<number>[0-9]{1,15})(?P<unit>|Ki|Mi|Gi|Ti)")
_SIZE_UNITS = ("", "Ki", "Mi", "Gi", "Ti")

_Member = TypeVar("_Member", bound=enum.StrEnum)


def flag(
    name: str,
    metavar: str,
    description: str,
    *,
    read: Callable[[str], object] = str,
    default: str | None = "",
    shown: str = "",
    env: str | None = None,
) -> Any:
    """Declare a flag: the ``Annotated`` metadata of a command's parameter.

    The parameter needs no default of its own.

    ``read`` makes the parameter's value of a text, the ``default`` included; a default of None stays None. ``shown`` is
    the default in the help where that text does not say it. ``env`` is a variable that counts where the flag is absent.
    """
    shown = shown or default or ""
    text = f"{description} [default: {shown}]" if shown else description
    return typer.Option(
        name,
        metavar=metavar,
        help=text,
        parser=read,
        default_factory=lambda: default,
        show_default=False,
        envvar=env,
    )


def boolean(flag: str, text: str) -> bool:
    """Read what Go's ``strconv.ParseBool`` reads."""
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    raise typer.BadParameter(f"found {text!r}, expected true or false", param_hint=flag)


def duration(text: str) -> float:
    """Return seconds."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def whole_number(lowest: int, highest: int | None = None) -> Callable[[str], int]:
    """Return a function that reads a number between two bounds, both included.

    None: no upper one.
    """
    expected = f"a whole number, {lowest} or more" if highest is None else f"a whole number from {lowest} to {highest}"

    def read(text: str) -> int:
        # int() alone would take spaces, underscores and other scripts' digits.
        number = int(text) if re.fullmatch(r"[+-]?[0-9]{1,15}", text) else None
        if number is None or number < lowest or (highest is not None and number > highest):
            raise typer.BadParameter(f"found {text!r}, expected {expected}")
        return number

    return read


def one_of(members: type[_Member]) -> Callable[[str], _Member]:
    """Return a function that reads a member's value."""
    *others, last = members
    expected = f"{', '.join(others)} or {last}"

    def read(text: str) -> _Member:
        try:
            return members(text)
        except ValueError as error:
            raise typer.BadParameter(f"found {text!r}, expected {expected}") from error

    return read


def size(text: str) -> int | None:
    """Return bytes: a Kubernetes quantity such as 128Mi, or a number.

    None for ``unlimited``.
    """
    if text == "unlimited":
        return None
    found = _SIZE.fullmatch(text)
    if found is None:
        raise typer.BadParameter(f"found {text!r}, expected a size such as 128Mi, 0 or unlimited")
    return int(found["number"]) << 10 * _SIZE_UNITS.index(found["unit"])


def path_or_none(text: str) -> Path | None:
    """Return a path; None for an empty text."""
    return Path(text) if text else None


def bind_address(text: str) -> BindAddress | None:
    """Read ``:6789``, ``127.0.0.1:0``, ``[::1]:80``.

    ``0`` is None, which turns a server off.
    """
    if text == "0":
        return None
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if bracketed:
        host = host[1:-1]
    readable = colon and port.isascii() and port.isdecimal() and int(port) <= MAX_PORT
    if not readable or (":" in host and not bracketed) or "/" in host:
        expected = "[HOST]:PORT, such as :6789, 127.0.0.1:0 or [::1]:6789, or 0 to turn it off"
        raise typer.BadParameter(f"found {text!r}, expected {expected}")
    return BindAddress(host, int(port))


def log_level(text: str) -> LogLevel:
    """Read zap's words; a number above 0 is a finer debug level there, and debug here."""
    if text.isascii() and text.isdecimal() and int(text) > 0:
        return LogLevel.DEBUG
    try:
        return LogLevel(text.lower())
    except ValueError as error:
        expected = "debug, info, error, panic or a number above 0"
        raise typer.BadParameter(f"found {text!r}, expected {expected}") from error


def unquoted(text: str) -> str:
    """Drop one pair of single quotes around a text.

    Authors of manifests write them for the shell.
    """
    wrapped = len(text) > 1 and text.startswith("'") and text.endswith("'")
    return text[1:-1] if wrapped else text
