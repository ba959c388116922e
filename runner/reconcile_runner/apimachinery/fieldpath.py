"""Field paths: which value of an object a trigger or an index looks at.

A path is dot-separated (``spec.name``); ``['app.kubernetes.io/name']`` names a key that holds dots, ``[*]`` stands for
any element of a list. Paths are not expressions: cheap, indexable, nothing to inject. What looks like one (``$.spec``,
``{.spec.name}``, ``{{ spec }}``) is refused rather than never matched; such a key must be quoted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from reconcile_runner.apimachinery.objects import KubeObject

_STEP = re.compile(
    r"""(?P<key>[\w/-]+)                  # a plain key
      | \[(?P<quote>['"])(?P<quoted>[^'"]+)(?P=quote)\]   # a key with dots
      | (?P<any>\[\*\])                   # any element of a list
    """,
    re.VERBOSE,
)


class _AnyElement:
    """The step ``[*]``."""


ANY_ELEMENT = _AnyElement()
Step = str | _AnyElement


@dataclass(frozen=True, slots=True)
class FieldPath:
    """A parsed path. Two paths are equal when their texts are."""

    text: str

    def __post_init__(self) -> None:
        """Reject a text that is not a path: raises ``ValueError``."""
        parse_steps(self.text)

    def __str__(self) -> str:
        """Return the path as it was written."""
        return self.text

    @property
    def is_metadata(self) -> bool:
        """Tell whether a metadata-only cache can answer this path."""
        return parse_steps(self.text)[0] == "metadata"

    def subtree(self, obj: KubeObject) -> tuple[Any, ...]:
        """Return every value found at the path, of any type; empty where there is none."""
        found: list[Any] = [obj]
        for step in parse_steps(self.text):
            found = [value for parent in found for value in _descend(parent, step)]
        return tuple(found)

    def values(self, obj: KubeObject) -> frozenset[str]:
        """Return the scalar values found at the path, as text.

        An absent value, a mapping, a list and ``null`` match nothing and are left out. Booleans read as YAML writes
        them (``true``), so that a label ``"true"`` can match a boolean field.
        """
        return frozenset(_as_text(value) for value in self.subtree(obj) if isinstance(value, (str, int, float, bool)))


_steps_by_text: dict[str, tuple[Step, ...]] = {}


def parse_steps(text: str) -> tuple[Step, ...]:
    """Return a path's steps; parsed once per text.

    Raises ``ValueError`` saying where it stops being one.
    """
    steps = _steps_by_text.get(text)
    if steps is None:
        steps = _steps_by_text[text] = tuple(_scan(text))
    return steps


def _scan(text: str) -> list[Step]:
    steps: list[Step] = []
    position = 0
    while position < len(text):
        if steps and text[position] == ".":
            position += 1
            if text[position : position + 1] in ("", ".", "["):
                raise ValueError(f"field path {text!r}: expected a key after the dot at column {position}")
        elif steps and text[position] != "[":
            raise ValueError(f"field path {text!r}: expected '.' or '[' at column {position + 1}")
        match = _STEP.match(text, position)
        if match is None:
            raise ValueError(f"field path {text!r}: cannot be read from column {position + 1} on")
        steps.append(ANY_ELEMENT if match["any"] else match["key"] or match["quoted"])
        position = match.end()
    if not steps or steps[0] is ANY_ELEMENT:
        raise ValueError(f"field path {text!r}: expected a key to start with, such as spec.name")
    return steps


def _descend(parent: object, step: Step) -> list[Any]:
    if isinstance(step, _AnyElement):
        return list(parent) if isinstance(parent, list) else []
    if isinstance(parent, dict) and step in parent:
        return [parent[step]]
    return []


def _as_text(value: str | float | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
