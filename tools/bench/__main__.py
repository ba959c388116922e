"""``python -m tools.bench compare|scale|show``: what `make bench` and `make bench-scale` call."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from reconcile_devcluster.errors import DevclusterError
from tools.bench import picture, report, suite, table
from tools.bench.report import Report
from tools.bench.session import tell
from tools.testing.operator import OperatorProcessError

app = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None, help=__doc__
)

Output = Annotated[Path, typer.Option(help="Directory for the report as JSON and as a picture.")]
Quick = Annotated[
    bool, typer.Option("--quick", help="Measure next to nothing, to see that all works; the figures mean nothing.")
]
Peer = Annotated[
    Path | None,
    typer.Option(exists=True, dir_okay=False, resolve_path=True, help="Another operator's program to measure, too."),
]


@app.command()
def compare(*, output: Output = Path(".bench"), peer: Peer = None, quick: Quick = False) -> None:
    """Measure the engines side by side, interleaved."""
    amounts = suite.QUICK if quick else suite.Amounts()
    with _errors_in_one_line():
        _finish(asyncio.run(suite.compare(amounts, peer)), output, "bench")


@app.command()
def scale(*, output: Output = Path(".bench"), quick: Quick = False) -> None:
    """Measure how costs grow up to 10,000 objects of each kind."""
    amounts = suite.QUICK if quick else suite.Amounts()
    with _errors_in_one_line():
        _finish(asyncio.run(suite.scale(amounts)), output, "bench-scale")


@app.command()
def show(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False)],
    *,
    picture_file: Annotated[
        Path | None, typer.Option("--picture", help="Draw the picture into this file, too.")
    ] = None,
) -> None:
    """Print the table of a report that was written before."""
    known = report.read(file)
    print(table.render(known))
    drawn = picture.render(known)
    if picture_file is not None and drawn is not None:
        picture_file.write_text(drawn, encoding="utf-8")


@contextmanager
def _errors_in_one_line() -> Iterator[None]:
    """Say why nothing can be measured, without a traceback, and exit with 1."""
    try:
        yield
    except (DevclusterError, OperatorProcessError, TimeoutError) as error:
        tell(f"error: {error}")
        raise typer.Exit(1) from error


def _finish(measured: Report, output: Path, name: str) -> None:
    output.mkdir(parents=True, exist_ok=True)
    written = output / f"{name}.json"
    written.write_text(measured.model_dump_json(indent=2) + "\n", encoding="utf-8")
    drawn = picture.render(measured)
    if drawn is not None:
        written.with_suffix(".svg").write_text(drawn, encoding="utf-8")
    print(table.render(measured))
    tell(f"written: {written}{' and the picture beside it' if drawn else ''}")


def _stop(number: int, _frame: object) -> None:
    """End as Ctrl-C does: everything that was started is stopped on the way out."""
    sys.exit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _stop)
    app(prog_name="python -m tools.bench")
