"""The packages of the runner and what they import, drawn from the code: `make pictures`.

The import graph is import-linter's (grimp), the rows are the layers of import-linter's contract in pyproject.toml. A
strong arrow is an import that no other path explains, a faint line one between packages that a path of strong arrows
joins anyway.
"""

from __future__ import annotations

import argparse
import math
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grimp

from tools import svg
from tools.environment import ROOT, tell

DOCS: Final = ROOT / "docs"
PICTURE: Final = DOCS / "architecture-packages.svg"

_WIDTH, _MARGIN, _TOP = 980, 30, 64
_BOX_HEIGHT, _ROW, _SHIFT, _ROUNDS = 32, 74, 60, 30
_LETTER: Final = 8.3
"""Pixels that a letter of a box's name takes at most."""


@dataclass(frozen=True, slots=True)
class Structure:
    """The top-level files and folders of a package, who imports whom, and their layers from the top."""

    nodes: tuple[str, ...]
    arrows: frozenset[tuple[str, str]]
    layers: tuple[tuple[str, ...], ...]

    def strong(self) -> frozenset[tuple[str, str]]:
        """Return the arrows that no longer path replaces (the transitive reduction, where there is no cycle)."""
        below = {node: self.reachable(node) for node in self.nodes}
        return frozenset(
            (one, other)
            for one, other in self.arrows
            if not any(other in below[between] for start, between in self.arrows if start == one and between != other)
        )

    def cycles(self) -> list[str]:
        """Return the nodes that reach themselves."""
        return [node for node in self.nodes if node in self.reachable(node)]

    def reachable(self, node: str) -> set[str]:
        """Return what a node imports, directly or not."""
        found: set[str] = set()
        waiting = [node]
        while waiting:
            for other in self.imports(waiting.pop()) - found:
                found.add(other)
                waiting.append(other)
        return found

    def imports(self, node: str) -> set[str]:
        """Return what a node imports directly."""
        return {other for one, other in self.arrows if one == node}


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw the packages of this checkout, or of another one (`--tree`, `--source`, `--package`, `--output`)."""
    parser = argparse.ArgumentParser(prog="python -m tools.structure", description=__doc__)
    parser.add_argument("--tree", type=Path, default=ROOT, help="the checkout, which holds pyproject.toml")
    parser.add_argument("--source", default="runner", help="the folder in it that holds the package")
    parser.add_argument("--package", default="reconcile_runner")
    parser.add_argument("--output", type=Path, default=PICTURE)
    chosen = parser.parse_args(arguments)
    sys.path.insert(0, str(chosen.tree / chosen.source))
    structure = read(chosen.package, (chosen.tree / "pyproject.toml").read_text(encoding="utf-8"))
    chosen.output.write_text(render(structure, chosen.package), encoding="utf-8")
    tell(f"wrote {chosen.output}: {summary(structure)}")
    return 0


def read(package: str, pyproject: str) -> Structure:
    """Return the structure of an importable package, with the layers that the text of a pyproject.toml gives it."""
    graph = grimp.build_graph(package, cache_dir=None)
    arrows = {
        (one, other)
        for importer in graph.modules
        for imported in graph.find_modules_directly_imported_by(importer)
        if (one := _top(importer)) and (other := _top(imported)) and one != other
    }
    nodes = sorted({top for module in graph.modules if (top := _top(module))})
    return Structure(tuple(nodes), frozenset(arrows), layers_of(package, pyproject))


def layers_of(package: str, pyproject: str) -> tuple[tuple[str, ...], ...]:
    """Return the layers of a package from the top, as import-linter's contract in a pyproject.toml has them."""
    for contract in tomllib.loads(pyproject)["tool"]["importlinter"]["contracts"]:
        if package in contract.get("containers", ()):
            return tuple(tuple(part.strip() for part in layer.split("|")) for layer in contract["layers"])
    raise LookupError(f"no contract of layers for {package}")


def summary(structure: Structure) -> str:
    """Return the counts in words."""
    cycles = f"cycles: {', '.join(structure.cycles())}" if structure.cycles() else "no cycle"
    return (
        f"{len(structure.nodes)} files and folders, {len(structure.arrows)} imports between them, "
        f"{len(structure.layers)} layers, {cycles}"
    )


def render(structure: Structure, package: str) -> str:
    """Return the SVG document."""
    height = _TOP + len(structure.layers) * _ROW + 10
    places = _places(structure)
    strong = structure.strong()
    body = [
        f'<text x="{_MARGIN}" y="26" class="name">{package}: who imports whom</text>',
        f'<text x="{_MARGIN}" y="46" class="note">{summary(structure)}</text>',
        *_legend(),
        *(_band(row) for row in range(0, len(structure.layers), 2)),
        *_lines(structure.arrows - strong, places, "faint"),
        *_lines(strong, places, "line"),
        *(_box(name, place) for name, place in sorted(places.items())),
    ]
    description = (
        f"A box for each file or folder, in rows by layer; arrows lead to what is imported. {summary(structure)}."
    )
    return svg.document(svg.Picture(_WIDTH, height, f"The packages of {package}", description), body)


def _legend() -> Iterator[str]:
    left = _WIDTH - 330
    for y, style, words in ((22, "line", "imports"), (42, "faint", "imports, and reaches by strong arrows, too")):
        yield f'<path class="{style}" d="M{left} {y}H{left + 40}"/>'
        yield f'<text x="{left + 52}" y="{y + 4}" class="label">{words}</text>'


@dataclass(frozen=True, slots=True)
class _Place:
    x: float
    """Of the middle."""
    y: float
    """Of the upper edge."""
    width: float


def _top(module: str) -> str:
    """Return the file or folder of a package that a module is or is in; empty for the package itself."""
    return module.split(".")[1] if "." in module else ""


def _places(structure: Structure) -> dict[str, _Place]:
    """Spread the nodes of each layer over its row, each near what it is joined with by strong arrows."""
    strong = structure.strong()
    rows = [[name for name in layer if name in structure.nodes] for layer in structure.layers]
    x: dict[str, float] = {}
    for _ in range(_ROUNDS):
        for index, row in enumerate(rows):
            x.update(zip(row, _columns(len(row), index), strict=True))
        for row in rows:
            row.sort(key=lambda name: (_middle(name, strong, x), name))
    for index, row in enumerate(rows):
        x.update(zip(row, _columns(len(row), index), strict=True))
    return {
        name: _Place(round(x[name]), _TOP + index * _ROW + (_ROW - _BOX_HEIGHT) / 2, _width(name))
        for index, row in enumerate(rows)
        for name in row
    }


def _columns(count: int, row: int) -> list[float]:
    """Return the middles of the boxes of a row. Rows are shifted in turn, or lines would run behind every box."""
    shift = _SHIFT if row % 2 else -_SHIFT
    inner = _WIDTH - 2 * (_MARGIN + _SHIFT)
    return [_MARGIN + _SHIFT + shift + inner * (index + 0.5) / count for index in range(count)]


def _middle(name: str, arrows: Iterable[tuple[str, str]], x: Mapping[str, float]) -> float:
    """Return the mean of where the neighbours of a node are."""
    near = [x[other if one == name else one] for one, other in arrows if name in (one, other)]
    # fsum, whose result does not depend on the order: that of a set is another in each process.
    return math.fsum(near) / len(near) if near else x[name]


def _ends(
    arrows: Iterable[tuple[str, str]], places: Mapping[str, _Place]
) -> dict[tuple[str, str], tuple[float, float]]:
    """Return at which x each arrow starts and ends: side by side along the edges, in the order of the other ends."""
    starts: dict[str, list[tuple[str, str]]] = {}
    ends: dict[str, list[tuple[str, str]]] = {}
    for arrow in sorted(arrows):
        starts.setdefault(arrow[0], []).append(arrow)
        ends.setdefault(arrow[1], []).append(arrow)
    start_x = {arrow: at for name, some in starts.items() for arrow, at in _ports(places[name], some, 1, places)}
    end_x = {arrow: at for name, some in ends.items() for arrow, at in _ports(places[name], some, 0, places)}
    return {arrow: (start_x[arrow], end_x[arrow]) for arrow in start_x}


def _ports(
    place: _Place, arrows: list[tuple[str, str]], side: int, places: Mapping[str, _Place]
) -> Iterator[tuple[tuple[str, str], float]]:
    arrows = sorted(arrows, key=lambda arrow: (places[arrow[side]].x, arrow[side]))
    for index, arrow in enumerate(arrows):
        yield arrow, place.x + (place.width - 16) * ((index + 0.5) / len(arrows) - 0.5)


def _width(name: str) -> float:
    return len(name) * _LETTER + 22


def _band(row: int) -> str:
    return f'<rect class="band" x="0" y="{_TOP + row * _ROW}" width="{_WIDTH}" height="{_ROW}"/>'


def _box(name: str, place: _Place) -> str:
    left = place.x - place.width / 2
    return (
        f'<rect class="own" x="{left:.1f}" y="{place.y:g}" width="{place.width:.1f}" height="{_BOX_HEIGHT}" rx="8"/>'
        f'<text class="name" x="{place.x:g}" y="{place.y + 21:g}" text-anchor="middle">{name}</text>'
    )


def _lines(arrows: frozenset[tuple[str, str]], places: Mapping[str, _Place], style: str) -> Iterator[str]:
    ends = _ends(arrows, places)
    for one, other in sorted(arrows):
        start, end = ends[one, other]
        yield _line((start, places[one].y + _BOX_HEIGHT), (end, places[other].y), style)


def _line(start: tuple[float, float], end: tuple[float, float], style: str) -> str:
    """Draw an arrow between two points, which leaves and arrives vertically."""
    (x, y), (to_x, to_y) = start, end
    bend = (to_y - y) * 0.45
    curve = f"{x:.1f} {y + bend:g} {to_x:.1f} {to_y - bend:g} {to_x:.1f} {to_y:g}"
    return f'<path class="{style}" d="M{x:.1f} {y:g}C{curve}"/>'


if __name__ == "__main__":
    sys.exit(main())
