"""The table of commands in docs/reference/devcluster.md, against the commands that there are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import typer

from reconcile_devcluster.cli import app
from tests.support.paths import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = REPOSITORY / "docs" / "reference" / "devcluster.md"


def documented() -> dict[str, set[str]]:
    """Return the options of each command in the page."""
    table = PAGE.read_text().partition("## Commands")[2].partition("\n\n##")[0]
    rows = re.findall(r"^\| `([a-z-]+)[^`]*` \|.*\| ([^|]*) \|$", table, re.MULTILINE)
    return {command: set(re.findall(r"--[a-z-]+", options)) for command, options in rows}


def real() -> Iterator[tuple[str, set[str]]]:
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    for name, command in group.commands.items():
        yield name, {option for one in command.params for option in one.opts if option.startswith("--")} - {"--help"}


def test_every_command_is_there_with_its_options_and_no_other() -> None:
    assert documented() == dict(real())
