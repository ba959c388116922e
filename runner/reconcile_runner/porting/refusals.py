"""What ansible-core 2.19 and newer have against an expression that 2.18 took."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from jinja2 import nodes

from reconcile_runner.porting.names import Names
from reconcile_runner.porting.valuetypes import Types, ValueType, short_name, types_of

_REFUSE_NOTHING: Final = frozenset(
    {
        "basename", "batch", "comment", "count", "difference", "dirname", "expanduser", "fileglob", "first",
        "flatten", "indent", "intersect", "join", "last", "length", "list", "max", "min", "random", "realpath",
        "relpath", "reverse", "slice", "sort", "split", "splitext", "sum", "symmetric_difference", "truncate",
        "union", "unique", "win_basename", "wordwrap", "zip",
    }
)  # fmt: skip
"""Filters that take the empty text, but not None."""

_LOOK_AT_TYPES: Final = frozenset(
    {
        "boolean", "callable", "escaped", "false", "float", "integer", "mapping", "none", "number", "sameas",
        "sequence", "string", "true", "uri", "url", "urn",
    }
)  # fmt: skip
"""Tests that 2.18 answered of an undefined value, too, and that now fail."""

_LENGTH: Final = re.compile(r"^[^&<>=()]+\|\s*(length|count)$")
_COMPOUND: Final = re.compile(r"\b(and|or|not|if|in|is)\b|[<>=~+*/%-]")
_KNOWN_GOOD: Final[Types] = frozenset({ValueType.BOOLEAN, ValueType.UNKNOWN})


def of_condition(text: str, types: Types) -> Iterator[str]:
    """Yield what is wrong with a condition whose value can have these types."""
    wrong = sorted(each.value for each in types - _KNOWN_GOOD)
    if not wrong:
        return
    can_be = "can be" if types & _KNOWN_GOOD else "is"
    yield f"`{text}` {can_be} {' or '.join(wrong)}, and a condition must be a boolean; write `{_instead(text)}`"


def _instead(text: str) -> str:
    """Return the condition that means what core 2.18 took it for."""
    if _LENGTH.search(text):
        return f"{text} > 0"
    return f"({text}) is truthy" if _COMPOUND.search(text) else f"{text} is truthy"


def of_expression(tree: nodes.Node, names: Names, guarded: frozenset[str]) -> Iterator[tuple[int, str]]:
    """Yield what is wrong anywhere below a node, each with its line in the text.

    ``guarded`` are names that are asked for before.
    """
    for found in tree.find_all((nodes.Filter, nodes.Add, nodes.Test)):
        match found:
            case nodes.Filter():
                reasons = _of_filter(found, names)
            case nodes.Add():
                reasons = _of_sum(found, names)
            case nodes.Test():
                reasons = _of_test(found, names, guarded)
            case _:
                continue
        for reason in reasons:
            yield found.lineno, reason


def _of_filter(found: nodes.Filter, names: Names) -> Iterator[str]:
    if found.node is None or short_name(found.name) not in _REFUSE_NOTHING:
        return
    if types_of(found.node, names) == {ValueType.NOTHING}:
        yield (
            f"the filter {found.name} is given nothing (None), where 2.18 gave it an empty text; "
            f"write `| default('', true) | {found.name}`"
        )


def _of_sum(found: nodes.Add, names: Names) -> Iterator[str]:
    if {types_of(found.left, names), types_of(found.right, names)} == {
        frozenset({ValueType.NUMBER}),
        frozenset({ValueType.TEXT}),
    }:
        yield "a number and a text are added: a template's value keeps its type; write `~` in place of `+`"


def _of_test(found: nodes.Test, names: Names, guarded: frozenset[str]) -> Iterator[str]:
    if short_name(found.name) not in _LOOK_AT_TYPES:
        return
    owner = found.node
    while isinstance(owner, (nodes.Getattr, nodes.Getitem)):
        owner = owner.node
    if isinstance(owner, nodes.Name) and owner.name not in guarded and names.may_be_undefined(owner.name):
        yield (
            f"`{owner.name}` is undefined where the object has no such field, and `is {found.name}` fails then; "
            f"write `{owner.name} is defined and …`, or give it a default"
        )
