"""Settings from environment variables: namespaces, and settings of single kinds.

Names and meaning are upstream's; all of them are in ``compat`` and, for people, in docs/reference/cli.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from reconcile_runner.apimachinery.objects import GroupVersionKind
from reconcile_runner.cli.values import NAMESPACE_NAME
from reconcile_runner.compat import (
    ENV_ALL_VERBOSITY,
    ENV_DEBUG_LOGS,
    ENV_MAX_CONCURRENT_RECONCILES,
    ENV_VERBOSITY,
    ENV_WATCH_NAMESPACE,
    ENV_WORKERS_DEPRECATED,
    env_suffix,
)
from reconcile_runner.errors import ConfigError
from reconcile_runner.options import LogEvents
from reconcile_runner.watches.watch import Watch

_WORKERS = range(1, 10_001)
_VERBOSITY = range(8)


def namespaces(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the namespaces of ``WATCH_NAMESPACE``, each once; empty means all.

    Raises ``ConfigError``.
    """
    names = tuple(dict.fromkeys(filter(None, map(str.strip, environ.get(ENV_WATCH_NAMESPACE, "").split(",")))))
    for name in names:
        if not NAMESPACE_NAME.fullmatch(name):
            raise ConfigError(
                f"{ENV_WATCH_NAMESPACE}: found {name!r}, expected names of namespaces separated by commas"
            )
    return names


def log_events(environ: Mapping[str, str], asked_for: LogEvents) -> LogEvents:
    """Return how much of a run is logged, with the variables that ask for more.

    ``ANSIBLE_DEBUG_LOGS=true`` always does; a positive ``ANSIBLE_VERBOSITY`` does where tasks are logged, as upstream.
    """
    debug = environ.get(ENV_DEBUG_LOGS, "").lower() in {"1", "t", "true"}
    verbosity = environ.get(ENV_ALL_VERBOSITY, "")
    verbose = verbosity.isascii() and verbosity.isdecimal() and int(verbosity) > 0
    with_output = {LogEvents.NOTHING: debug, LogEvents.TASKS: debug or verbose}
    return LogEvents.OUTPUT if with_output.get(asked_for) else asked_for


@dataclass(frozen=True, slots=True)
class KindSettings:
    """Settings of single kinds, and warnings about variables that are ignored."""

    workers: Mapping[GroupVersionKind, int] = field(default_factory=dict)
    verbosity: Mapping[GroupVersionKind, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def kind_settings(environ: Mapping[str, str], watches: Iterable[Watch]) -> KindSettings:
    """Read the variables whose names end in the kind and group of a watch."""
    found = _Found(environ)
    workers: dict[GroupVersionKind, int] = {}
    verbosity: dict[GroupVersionKind, int] = {}
    for gvk in (watch.gvk for watch in watches):
        suffix = env_suffix(gvk.kind, gvk.group)
        old, new = ENV_WORKERS_DEPRECATED + suffix, ENV_MAX_CONCURRENT_RECONCILES + suffix
        if old in environ:
            found.warnings.append(f"{old} is deprecated, use {new}")
        count = found.number(new, _WORKERS)
        if count is None:
            count = found.number(old, _WORKERS)
        if count is not None:
            workers[gvk] = count
        level = found.number(ENV_VERBOSITY + suffix, _VERBOSITY)
        if level is not None:
            verbosity[gvk] = level
    found.warn_of_strangers()
    # Two versions of one kind share their variables, and would be warned of twice.
    return KindSettings(workers, verbosity, tuple(dict.fromkeys(found.warnings)))


@dataclass(slots=True)
class _Found:
    """Reads the variables and remembers which names were asked for."""

    environ: Mapping[str, str]
    warnings: list[str] = field(default_factory=list)
    asked_for: set[str] = field(default_factory=set)

    def number(self, name: str, allowed: range) -> int | None:
        """Return a variable's value; None where it is not set, or not usable."""
        self.asked_for.add(name)
        text = self.environ.get(name)
        if text is None:
            return None
        if re.fullmatch(r"[0-9]{1,9}", text) and int(text) in allowed:
            return int(text)
        expected = f"a whole number from {allowed.start} to {allowed.stop - 1}"
        self.warnings.append(f"{name}: found {text!r}, expected {expected}; it is ignored")
        return None

    def warn_of_strangers(self) -> None:
        """Warn of variables that look like settings of a kind that is not watched."""
        for name in sorted(self.environ.keys() - self.asked_for):
            if name.startswith((ENV_MAX_CONCURRENT_RECONCILES, ENV_VERBOSITY)):
                known = ", ".join(sorted(it for it in self.asked_for if not it.startswith(ENV_WORKERS_DEPRECATED)))
                self.warnings.append(f"{name} is of no watched kind and is ignored, expected one of {known}")
