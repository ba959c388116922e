"""Settings in an object's annotations, which win over its watch and the flags.

Names and meaning are upstream's, but for pausing and reconciling at once. Reference: docs/reference/watches.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from reconcile_runner.apimachinery import objects
from reconcile_runner.apimachinery.duration import excerpt, parse_duration
from reconcile_runner.apimachinery.objects import KubeObject
from reconcile_runner.bounds import DEFAULT_BOUNDS, FLAGS, Bound, Bounds
from reconcile_runner.compat import (
    ANNOTATION_MAX_RUNNER_ARTIFACTS,
    ANNOTATION_PAUSED,
    ANNOTATION_PREFIX,
    ANNOTATION_RECONCILE_NOW,
    ANNOTATION_RECONCILE_PERIOD,
    ANNOTATION_VERBOSITY,
    DEAD_ANNOTATION_PREFIX,
)

_HIGHEST_VERBOSITY: Final = 7
_HIGHEST_NUMBER: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class AnnotationSettings:
    """The settings in an object's annotations; None where there is no such annotation.

    - ``is_paused``: nothing may be run for the object, not even its finalizer
    - ``reconcile_period``: seconds to the next periodic run; 0: never
    - ``verbosity``: number of ``-v``
    - ``max_artifacts``: runs whose artifacts are kept; 0: all
    - ``warnings``: annotations that are ignored, one sentence each
    - ``exceeded``: bounds that took the place of what annotations ask for, with one sentence each
    - ``error``: why the object must not be run, empty where it may: a guess would be worse
    """

    is_paused: bool = False
    reconcile_period: float | None = None
    verbosity: int | None = None
    max_artifacts: int | None = None
    warnings: tuple[str, ...] = ()
    exceeded: tuple[tuple[Bound, str], ...] = ()
    error: str = ""


def parse_annotations(obj: KubeObject, bounds: Bounds = DEFAULT_BOUNDS) -> AnnotationSettings:
    """Return the settings in an object's annotations, within the bounds.

    As under upstream's operator, a number that cannot be read is ignored with a warning, and a reconcile period that
    cannot be read is an error.
    """
    found = objects.annotations(obj)
    warnings = [
        f"{name} means nothing any more, expected {ANNOTATION_PREFIX}/{name.removeprefix(DEAD_ANNOTATION_PREFIX)}"
        for name in sorted(found)
        if name.startswith(DEAD_ANNOTATION_PREFIX)
    ]
    verbosity = _number(found, ANNOTATION_VERBOSITY, warnings, _HIGHEST_VERBOSITY)
    max_artifacts = _number(found, ANNOTATION_MAX_RUNNER_ARTIFACTS, warnings)
    period, error = _period(found)
    exceeded: list[tuple[Bound, str]] = []
    if verbosity is not None and verbosity > bounds.verbosity:
        verbosity = bounds.verbosity
        exceeded.append(_exceeds(ANNOTATION_VERBOSITY, f"{verbosity}", Bound.VERBOSITY))
    if max_artifacts is not None and not 0 < max_artifacts <= bounds.artifacts:
        max_artifacts = bounds.artifacts
        exceeded.append(_exceeds(ANNOTATION_MAX_RUNNER_ARTIFACTS, f"{max_artifacts}", Bound.ARTIFACTS))
    if period is not None and 0 < period < bounds.reconcile_period:
        period = bounds.reconcile_period
        exceeded.append(_exceeds(ANNOTATION_RECONCILE_PERIOD, f"{period:g}s", Bound.RECONCILE_PERIOD))
    settings = AnnotationSettings(_is_paused(found), period, verbosity, max_artifacts)
    return replace(settings, warnings=tuple(warnings), exceeded=tuple(exceeded), error=error)


def asks_for_a_run(obj: KubeObject, old: KubeObject) -> bool:
    """Tell whether a change of annotations asks for a run.

    That is a new value of reconcile-now, or the end of a pause.
    """
    found, before = objects.annotations(obj), objects.annotations(old)
    asked = found.get(ANNOTATION_RECONCILE_NOW)
    is_new = asked is not None and asked != before.get(ANNOTATION_RECONCILE_NOW)
    return is_new or (_is_paused(before) and not _is_paused(found))


def _exceeds(name: str, taken: str, bound: Bound) -> tuple[Bound, str]:
    return bound, f"{name}: {taken} is taken, to which {FLAGS[bound]} bounds it"


def _is_paused(found: dict[str, str]) -> bool:
    value = found.get(ANNOTATION_PAUSED)
    return value is not None and value.lower() != "false"


def _period(found: dict[str, str]) -> tuple[float | None, str]:
    """Return the reconcile period, and why it cannot be read."""
    text = found.get(ANNOTATION_RECONCILE_PERIOD)
    if text is None:
        return None, ""
    try:
        return parse_duration(text), ""
    except ValueError as error:
        return None, f"annotation {ANNOTATION_RECONCILE_PERIOD}: {error}"


def _number(found: dict[str, str], name: str, warnings: list[str], highest: int = _HIGHEST_NUMBER) -> int | None:
    text = found.get(name)
    if text is None:
        return None
    # Python raises an exception for more than 4,300 digits, and is slow long before that.
    digits = text.lstrip("0") or text[:1]
    if digits.isascii() and digits.isdigit() and len(digits) <= len(str(highest)) and int(digits) <= highest:
        return int(digits)
    warnings.append(f"{name}: found {excerpt(text)}, expected a whole number up to {highest}; it is ignored")
    return None
