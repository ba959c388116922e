"""Messages for people of why a run failed, from results and Ansible's output.

Pure functions over events, results and text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from reconcile_runner.execution.jobevent import JobEvent

MESSAGE_LIMIT = 1024
"""Maximum characters of one message."""

TOTAL_LIMIT = 8 * MESSAGE_LIMIT
"""Maximum characters of all messages of a run together. A condition may have 32768."""

_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_SOURCE_EXCERPT = re.compile(r"\s*\d+ |\s*\^|\s*\(source not shown|^\.\.\.")
_ORIGIN = re.compile(r"Origin: (?P<where>.+)")
_APPEARS = re.compile(
    r"\s*The error appears to be in '(?P<file>[^'\n]+)': line (?P<line>\d+), column (?P<column>\d+), but may.*",
    re.DOTALL,
)
"""The place of an error before ansible-core 2.19, and what follows it: advice, and an excerpt of the source."""

_ERROR = re.compile(r"\[?ERROR[\]!]?[:!] ?")
_USAGE_ERROR = re.compile(r"ansible-playbook: error: ")
_UNINFORMATIVE = re.compile(
    r"non-zero return code|^MODULE FAILURE|^One or more items failed|^Module result deserializ|^Assertion failed$"
    r"|^Error executing command\.$|Unknown error\.?$"
)
_REASONS = ("reason", "message", "error", "assertion")
"""Where a result names its reason if not in ``msg``: included tasks and variables, some collections, ``assert``."""

_OUTPUTS = ("stderr", "module_stderr", "module_stdout", "stdout")
_NO_REASONS = frozenset({
    *("msg", "exception", "changed", "failed", "skipped", "unreachable", "failed_when_result", "evaluated_to"),
    *("invocation", "cmd", "results", "warnings", "deprecations", "diff", "attempts", "ansible_loop_var", "item"),
    *("start", "end", "delta", "stdout_lines", "stderr_lines", *_OUTPUTS),
})  # fmt: skip
"""Fields of a result that say nothing about why it failed, or that may hold what nobody should see."""

_EXTENDS_CALLBACK = "class CallbackModule(DefaultCallbackModule)"
_TRACEBACK = "Traceback (most recent call last):"
_PRINTED_RESULT = re.compile(r"^(?:fatal|failed): \[.*?=> (?=\{)", re.MULTILINE)
_PARSED_LIMIT = 16 * 1024 * 1024
"""Characters of a printed result that is still parsed."""


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


def of_event(event: JobEvent, items: Sequence[str] = ()) -> str:
    """Return the message of a failed task's event; ``items`` are the messages of its failed items.

    ansible-runner leaves out a result of more than 700,000 characters. What Ansible printed then tells why.
    """
    if event.res:
        return of_result(event.res, items, event.stdout)
    printed = plain(event.stdout).strip()
    res = _printed_result(printed)
    return shorten(printed) if printed and not res and not items else of_result(res, items)


def of_failures(messages: Iterable[str]) -> str:
    """Return the messages of a run's failures as one text of at most ``TOTAL_LIMIT`` characters."""
    return shorten("\n".join(messages), TOTAL_LIMIT)


def _printed_result(text: str) -> dict[str, Any]:
    found = _PRINTED_RESULT.search(text)
    if found is None or len(text) > _PARSED_LIMIT:
        return {}
    try:
        result, _ = json.JSONDecoder().raw_decode(text, found.end())
    except ValueError:
        return {}
    return result if isinstance(result, dict) else {}


def of_result(res: dict[str, Any], items: Sequence[str] = (), printed: str = "") -> str:
    """Return the message of a failed task's result.

    ``items`` are the messages of its failed items, ``printed`` is what Ansible printed of it. For a result that
    ``no_log`` hides it is the sentence that Ansible shows in its place.
    """
    if "censored" in res:
        return _as_text(res["censored"])
    message = _APPEARS.sub(_place, plain(_as_text(res.get("msg"))).strip())
    if message and not _UNINFORMATIVE.search(message):
        return shorten(message)
    told = "; ".join(items) or next(filter(None, _details(res)), "")
    if not told and (error := _error_in(plain(printed).splitlines())) and not _UNINFORMATIVE.search(error):
        return shorten(error)
    told = told or _rest(res)
    return shorten(": ".join(filter(None, [message.removesuffix("."), told]))) or "unknown playbook failure"


def _details(res: dict[str, Any]) -> Iterator[str]:
    """Return what may tell why a result failed, beside its message: reasons, then the ends of outputs."""
    for name in _REASONS:
        yield plain(_as_text(res.get(name))).strip()
    for name in _OUTPUTS:
        yield "\n".join(plain(_as_text(res.get(name))).strip().splitlines()[-5:])


def of_output(lines: Iterable[str]) -> str:
    """Return Ansible's error message from its plain output, else the last line.

    It includes the error's place (``file:line:column``), not the excerpt of the source below it.
    """
    lines = list(lines)
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return shorten(_error_in(lines, with_place=True) or last)


def is_missing_callback(lines: Iterable[str]) -> bool:
    """Tell from Ansible's output whether ansible-runner's callback found no callback to extend."""
    return any(_EXTENDS_CALLBACK in line for line in lines)


def _error_in(lines: Iterable[str], *, with_place: bool = False) -> str:
    """Return Ansible's last error message in its plain output, empty if there is none."""
    kept: list[str] = []
    is_over = False
    for line in lines:
        if found := _USAGE_ERROR.match(line):
            return line[found.end() :].strip()
        if found := _ERROR.match(line):
            kept, is_over = [line[found.end() :].strip()], False
        elif line.startswith(_TRACEBACK):
            is_over = True
        elif kept and not is_over and (found := _APPEARS.match(line)):
            kept.extend([_place(found).strip()] if with_place else [])
            is_over = True
        elif kept and not is_over:
            kept.extend(_tidied(line, with_place=with_place))
    return " ".join(kept)


def _place(found: re.Match[str]) -> str:
    return f" ({found['file']}:{found['line']}:{found['column']})"


def _tidied(line: str, *, with_place: bool) -> list[str]:
    if origin := _ORIGIN.match(line):
        return [f"({origin['where'].strip()})"] if with_place else []
    if not line.strip() or _SOURCE_EXCERPT.match(line) or _PRINTED_RESULT.match(line):
        return []
    return [line.strip()]


def _rest(res: dict[str, Any]) -> str:
    """Return all that a result holds and that may tell why it failed."""
    rest = {name: value for name, value in res.items() if name not in _NO_REASONS and not name.startswith("_ansible_")}
    return _as_text(rest or None)


def _as_text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
