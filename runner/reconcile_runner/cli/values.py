"""How the texts of flags are read, whichever flag it is. Each raises ``typer.BadParameter`` that names the flag."""

from __future__ import annotations

import re

import typer

from reconcile_runner.apimachinery.duration import parse_duration
from reconcile_runner.options import BindAddress

OBJECT_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
"""The name of an object, as most kinds have it (RFC 1123 subdomain)."""

NAMESPACE_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
"""The name of a namespace (RFC 1123 label)."""

_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})
_MAX_PORT = 65535
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


def bind_address(flag: str, text: str) -> BindAddress | None:
    """Read ``:6789``, ``127.0.0.1:0``, ``[::1]:80``; ``0`` is None, which turns a server off."""
    if text == "0":
        return None
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if bracketed:
        host = host[1:-1]
    readable = colon and port.isascii() and port.isdecimal() and int(port) <= _MAX_PORT
    if not readable or (":" in host and not bracketed) or "/" in host:
        expected = "[HOST]:PORT, such as :6789, 127.0.0.1:0 or [::1]:6789, or 0 to turn it off"
        raise typer.BadParameter(f"found {text!r}, expected {expected}", param_hint=flag)
    return BindAddress(host, int(port))
