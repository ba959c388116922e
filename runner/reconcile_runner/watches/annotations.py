"""What an object's annotations ask for: they win over its watch and over the flags.

``reconciler`` reads them before each run, ``predicate`` asks whether one of them has just asked for a run. Names and
meaning of the first three are upstream's; pausing and running at once are ours. For users: docs/reference/watches.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from reconcile_runner.apimachinery import objects
from reconcile_runner.apimachinery.duration import parse_duration
from reconcile_runner.apimachinery.objects import KubeObject
from reconcile_runner.compat import (
    ANNOTATION_MAX_RUNNER_ARTIFACTS,
    ANNOTATION_PAUSED,
    ANNOTATION_PREFIX,
    ANNOTATION_RECONCILE_NOW,
    ANNOTATION_RECONCILE_PERIOD,
    ANNOTATION_VERBOSITY,
    DEAD_ANNOTATION_PREFIX,
)
from reconcile_runner.errors import RunnerError

_MAX_VERBOSITY = 7


class OverrideError(RunnerError):
    """An annotation asks for something that cannot be read, and guessing would be worse than not running."""


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the annotations say; None where they say nothing.

    - ``verbosity``: number of ``-v``; ``max_artifacts``: 0 keeps all
    - ``warnings``: for the log, one sentence each
    """

    verbosity: int | None = None
    max_artifacts: int | None = None
    warnings: tuple[str, ...] = ()


def overrides_of(obj: KubeObject) -> Overrides:
    """Read the annotations of an object. What is no number is left out with a warning, as upstream does."""
    found = objects.annotations(obj)
    warnings = [
        f"{name} means nothing any more, expected {ANNOTATION_PREFIX}/{name.removeprefix(DEAD_ANNOTATION_PREFIX)}"
        for name in sorted(found)
        if name.startswith(DEAD_ANNOTATION_PREFIX)
    ]
    return Overrides(
        _number(found, ANNOTATION_VERBOSITY, warnings, _MAX_VERBOSITY),
        _number(found, ANNOTATION_MAX_RUNNER_ARTIFACTS, warnings),
        tuple(warnings),
    )


def reconcile_period_of(obj: KubeObject) -> float | None:
    """Return the seconds to the next periodic run (0: never); None where the annotations do not say.

    Raises ``OverrideError`` for what is no duration: the object is not run then, as under upstream's operator.
    """
    text = objects.annotations(obj).get(ANNOTATION_RECONCILE_PERIOD)
    if text is None:
        return None
    try:
        return parse_duration(text)
    except ValueError as error:
        raise OverrideError(f"annotation {ANNOTATION_RECONCILE_PERIOD}: {error}") from error


def is_paused(obj: KubeObject) -> bool:
    """Tell whether nothing may be run for the object, not even its finalizer."""
    said = objects.annotations(obj).get(ANNOTATION_PAUSED)
    return said is not None and said.lower() != "false"


def asks_for_a_run(obj: KubeObject, old: KubeObject) -> bool:
    """Tell whether the annotations just asked for a run: by a new value of reconcile-now, or by the end of a pause."""
    asked = objects.annotations(obj).get(ANNOTATION_RECONCILE_NOW)
    is_new = asked is not None and asked != objects.annotations(old).get(ANNOTATION_RECONCILE_NOW)
    return is_new or (is_paused(old) and not is_paused(obj))


def _number(found: dict[str, str], name: str, warnings: list[str], highest: int | None = None) -> int | None:
    text = found.get(name)
    if text is None:
        return None
    if text.isascii() and text.isdigit() and (highest is None or int(text) <= highest):
        return int(text)
    expected = "a whole number" if highest is None else f"a whole number up to {highest}"
    warnings.append(f"{name}: found {text!r}, expected {expected}; it is ignored")
    return None
