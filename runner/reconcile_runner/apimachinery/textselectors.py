"""Selectors as queries have them: ``labelSelector=app=web,tier in (a,b)``, ``fieldSelector=metadata.name=x``.

``reads`` answers what is understood here. Anything else, wrong or just unusual, is left to the API server: None.
"""

from __future__ import annotations

import re
from typing import Final

from reconcile_runner.apimachinery.labels import LabelSelector, Operator, Requirement

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


def parse_label_selector(text: str) -> LabelSelector | None:
    """Read a label selector (apimachinery's ``labels.Parse``, but for ``>`` and ``<``)."""
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
    """Read a field selector of equalities over ``metadata.name`` and ``metadata.namespace``."""
    wanted: dict[str, str] = {}
    for term in filter(None, text.split(",")):
        name, equals, value = term.partition("=")
        value = value.removeprefix("=")
        if not equals or name not in _FIELDS or "\\" in value or "=" in value or wanted.get(name, value) != value:
            return None
        wanted[name] = value
    return wanted
