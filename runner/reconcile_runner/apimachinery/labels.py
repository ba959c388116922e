"""Label selectors of watches, and label and field selectors in queries.

Semantics: apimachinery's ``metav1.LabelSelector`` and ``labels.Parse``. A watch's selector is checked here and not by
the API server, for events and again in the reconciler: a periodic or triggered reconcile passes no predicate.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_KEY: Final = r"(?:[a-z0-9][-a-z0-9.]*/)?[A-Za-z0-9](?:[-_.A-Za-z0-9]*[A-Za-z0-9])?"
_VALUE: Final = r"(?:[A-Za-z0-9](?:[-_.A-Za-z0-9]*[A-Za-z0-9])?)?"
_REQUIREMENT: Final = re.compile(
    rf"""\s*(?:
        (?P<absent>!)\s*(?P<absent_key>{_KEY})
      | (?P<key>{_KEY})\s*(?:
            (?P<equality>==|=|!=)\s*(?P<value>{_VALUE})
          | (?P<set>(?<=\s)in|(?<=\s)notin)\s*\((?P<values>[^()]*)\)
        )?
    )\s*(?:,|$)""",
    re.VERBOSE,
)
_FIELDS: Final = frozenset({"metadata.name", "metadata.namespace"})


class Operator(enum.StrEnum):
    """The operators of ``matchExpressions``."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One expression. ``values`` is empty for ``Exists`` and ``DoesNotExist``."""

    key: str
    operator: Operator
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether the labels satisfy this expression.

        An absent key satisfies ``NotIn``.
        """
        match self.operator:
            case Operator.IN:
                return self.key in labels and labels[self.key] in self.values
            case Operator.NOT_IN:
                return self.key not in labels or labels[self.key] not in self.values
            case Operator.EXISTS:
                return self.key in labels
            case Operator.DOES_NOT_EXIST:
                return self.key not in labels


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """Requirements that must all hold. None at all: everything matches."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether the labels satisfy every requirement."""
        return all(requirement.matches(labels) for requirement in self.requirements)


EVERYTHING = LabelSelector()
"""Matches every object."""


def parse_label_selector(text: str) -> LabelSelector | None:
    """Read a label selector such as ``app=web,tier in (a,b)``.

    Returns None for a text that is wrong, or uses ``>`` or ``<``: the API server is to judge it.
    """
    requirements = []
    position = 0
    while position < len(text):
        match = _REQUIREMENT.match(text, position)
        requirement = _requirement(match) if match is not None else None
        if match is None or requirement is None:
            return None
        requirements.append(requirement)
        position = match.end()
    if text.rstrip().endswith(","):
        return None
    return LabelSelector(tuple(requirements))


def _requirement(match: re.Match[str]) -> Requirement | None:
    if match["absent"]:
        return Requirement(match["absent_key"], Operator.DOES_NOT_EXIST)
    if match["set"]:
        values = [value.strip() for value in match["values"].split(",")]
        if not all(re.fullmatch(_VALUE, value) for value in values):
            return None
        operator = Operator.IN if match["set"] == "in" else Operator.NOT_IN
        return Requirement(match["key"], operator, frozenset(values))
    if match["equality"]:
        operator = Operator.NOT_IN if match["equality"] == "!=" else Operator.IN
        return Requirement(match["key"], operator, frozenset({match["value"]}))
    return Requirement(match["key"], Operator.EXISTS)


def parse_field_selector(text: str) -> dict[str, str] | None:
    """Read a field selector such as ``metadata.name=x``.

    Return the value of each field.

    Returns None for a text that is wrong, or names anything but an object's name and namespace.
    """
    wanted: dict[str, str] = {}
    for term in filter(None, text.split(",")):
        name, equals, value = term.partition("=")
        value = value.removeprefix("=")
        if not equals or name not in _FIELDS or "\\" in value or "=" in value or wanted.get(name, value) != value:
            return None
        wanted[name] = value
    return wanted
