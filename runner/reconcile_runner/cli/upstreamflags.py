"""Flags of ``ansible-operator run`` that have no function here.

They are accepted, so that the manifest of an operator works as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import typer

from reconcile_runner import logs
from reconcile_runner.cli.usage import unknown_flag
from reconcile_runner.cli.values import boolean

SETTINGS: Final = {"allow_extra_args": True, "ignore_unknown_options": True}
"""What the command ``run`` needs so that it leaves these flags alone."""

BOOLEANS: Final = frozenset({"--enable-http2"})
"""Those that mean ``true`` where no value follows with ``=``."""

TEXTS: Final = frozenset({"--leader-elect-resource-lock", "--zap-stacktrace-level", "--zap-time-encoding"})

HELP: Final = "All flags of ansible-operator run are accepted: docs/reference/cli.md says which have no effect."

_log = logs.get_logger(__name__)


def check(context: typer.Context) -> None:
    """Look at the arguments that are none of ``run``'s own flags.

    Raises ``typer.BadParameter`` where one cannot be read. Any other argument is a usage error.
    """
    given = dict(_read(context))
    asked = {name for name in BOOLEANS & given.keys() if boolean(name, given[name])}
    if "--enable-http2" in asked:
        _log.warning("flag without effect", flag="--enable-http2", reason="every server here speaks HTTP/1.1")


def _read(context: typer.Context) -> Iterator[tuple[str, str]]:
    """Yield names and values.

    Booleans take a value after ``=`` only, other flags also as the next argument.
    """
    arguments = iter(context.args)
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if name not in BOOLEANS | TEXTS:
            context.fail(_complaint(context, name))
        if not equals:
            value = "true" if name in BOOLEANS else next(arguments, "")
            if not value:
                context.fail(f"{name}: found no value, expected one")
        yield name, value


def _complaint(context: typer.Context, argument: str) -> str:
    if not argument.startswith("-"):
        return f"found the argument {argument!r}, expected flags alone"
    own = [option for parameter in context.command.params for option in parameter.opts]
    return unknown_flag(argument, [*own, *BOOLEANS, *TEXTS])
