"""Messages for people of why a run failed, from results and Ansible's output.

Pure functions over text and results.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

MESSAGE_LIMIT = 1024
"""Maximum characters of one message."""

_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_SOURCE_EXCERPT = re.compile(r"\s*\d+ |\s*\^|\s*\(source not shown|^\.\.\.")
_ORIGIN = re.compile(r"Origin: (?P<where>.+)")
_ERROR = re.compile(r"\[?ERROR[\]!]?[:!] ?")
_USAGE_ERROR = re.compile(r"ansible-playbook: error: ")
_UNINFORMATIVE = re.compile(
    r"non-zero return code|^MODULE FAILURE|^One or more items failed|^Module result deserializ|Unknown error\.?$"
)
_REASONS = ("reason", "message")
"""Where a result names its reason if not in ``msg``: included tasks, and included variables."""

_OUTPUTS = ("stderr", "module_stderr", "module_stdout", "stdout")


def plain(text: str) -> str:
    """Return text without a terminal's colours and line ends."""
    return _ANSI.sub("", text).replace("\r\n", "\n").replace("\r", "")


def shorten(text: str, limit: int = MESSAGE_LIMIT) -> str:
    """Return text of at most ``limit`` characters, cut in the middle.

    Both ends of a message matter.
    """
    if len(text) <= limit:
        return text
    half = (limit - 5) // 2
    return f"{text[:half]} ... {text[-half:]}"


def of_result(res: dict[str, Any], items: Sequence[str] = ()) -> str:
    """Return the message of a failed task's result.

    ``items`` are the messages of its failed items. For a result that ``no_log`` hides it is the sentence that Ansible
    shows in its place.
    """
    if "censored" in res:
        return _as_text(res["censored"])
    message = plain(_as_text(res.get("msg", ""))).strip()
    if message and not _UNINFORMATIVE.search(message):
        return shorten(message)
    details = items or [tail for tail in (_tail(res.get(name)) for name in (*_REASONS, *_OUTPUTS)) if tail][:1]
    return (
        shorten(": ".join(filter(None, [message.removesuffix("."), "; ".join(details)]))) or "unknown playbook failure"
    )


def of_output(lines: Iterable[str]) -> str:
    """Return Ansible's error message from its plain output, else the last line.

    It includes the error's place (``file:line:column``), not the excerpt of the source below it.
    """
    kept: list[str] = []
    last = ""
    for line in lines:
        last = line.strip() or last
        if found := _USAGE_ERROR.match(line):
            return shorten(line[found.end() :].strip())
        if found := _ERROR.match(line):
            kept = [line[found.end() :].strip()]
        elif kept:
            kept.extend(_tidied(line))
    return shorten(" ".join(kept) if kept else last)


def _tidied(line: str) -> list[str]:
    if origin := _ORIGIN.match(line):
        return [f"({origin['where'].strip()})"]
    if not line.strip() or _SOURCE_EXCERPT.match(line):
        return []
    return [line.strip()]


def _tail(value: object) -> str:
    lines = plain(value).strip().splitlines() if isinstance(value, str) else []
    return "\n".join(lines[-5:])


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)
