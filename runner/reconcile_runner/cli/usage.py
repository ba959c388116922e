"""A command line that cannot be read: one line on standard error, exit code 2."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import typer
from typer.core import TyperGroup

EXIT_CODE: Final = 2


class Commands(TyperGroup):
    """The program's commands. typer's context is a private class, hence ``Any``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Find the command; without one, print the help as an error."""
        if not args:
            typer.echo(ctx.get_help(), err=True)
            raise typer.Exit(EXIT_CODE)
        with _one_line_per_mistake():
            if not args[0].startswith("-") and args[0] not in self.commands:
                raise typer.BadParameter(f"found {args[0]!r}, expected {_listed(self.commands)}", param_hint="command")
            return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Read the command's flags and run it."""
        with _one_line_per_mistake():
            return super().invoke(ctx)


def unknown_flag(name: str, known: Iterable[str]) -> str:
    """Return the message for an unknown flag, with the most similar known one."""
    guess = difflib.get_close_matches(name, known, n=1)
    return f"{name}: unknown flag, {f'did you mean {guess[0]}?' if guess else '--help lists the known ones'}"


@contextmanager
def _one_line_per_mistake() -> Iterator[None]:
    try:
        yield
    except typer.TyperException as error:
        # An argument may hold line breaks.
        typer.echo(f"error: {' '.join(_explained(error).splitlines())}", err=True)
        raise typer.Exit(EXIT_CODE) from error


def _explained(error: typer.TyperException) -> str:
    """Return the flag, what was found and what was expected."""
    if isinstance(error, typer.BadParameter):
        flag = error.param.opts[0] if error.param is not None else error.param_hint
        return f"{flag}: {error.message}"
    # typer's classes for the other mistakes are private.
    option = getattr(error, "option_name", None)
    if not isinstance(option, str):
        return error.message
    if hasattr(error, "possibilities"):
        context = getattr(error, "ctx", None)
        parameters = context.command.params if context is not None else ()
        return unknown_flag(option, [name for parameter in parameters for name in parameter.opts])
    return f"{option}: found {'a value, expected none' if option == '--help' else 'no value, expected one'}"


def _listed(names: Iterable[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}"
