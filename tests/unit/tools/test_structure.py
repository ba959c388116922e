from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.support.paths import REPOSITORY
from tools import structure
from tools.structure import Structure

SVG = "{http://www.w3.org/2000/svg}"
LAYERS = """
[[tool.importlinter.contracts]]
type = "forbidden"
[[tool.importlinter.contracts]]
containers = ["some_package"]
layers = ["top", "left | right", "bottom"]
"""


def made_of(*arrows: str) -> Structure:
    """Return a structure of arrows such as `a>b`."""
    pairs = frozenset((arrow[0], arrow[2]) for arrow in arrows)
    nodes = sorted({node for pair in pairs for node in pair})
    return Structure(tuple(nodes), pairs, tuple((node,) for node in nodes))


@pytest.fixture(scope="module")
def of_runner() -> Structure:
    return structure.read("reconcile_runner", (REPOSITORY / "pyproject.toml").read_text())


def test_the_committed_picture_is_what_the_code_gives(of_runner: Structure) -> None:
    committed = structure.PICTURE.read_text()
    assert committed == structure.render(of_runner, "reconcile_runner"), "imports have changed: `make pictures`"


@pytest.mark.parametrize("seed", ["1", "2"])
def test_the_picture_does_not_depend_on_the_order_of_sets(seed: str, tmp_path: Path) -> None:
    """Python's strings have other hashes in each process; these two seeds once gave two pictures."""
    drawn = tmp_path / "picture.svg"
    command = [sys.executable, "-m", "tools.structure", "--output", str(drawn)]
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    subprocess.run(command, cwd=REPOSITORY, env=environment, check=True, capture_output=True)
    assert drawn.read_text() == structure.PICTURE.read_text()


def test_no_package_imports_itself_by_way_of_another(of_runner: Structure) -> None:
    assert of_runner.cycles() == []


def test_every_file_and_folder_has_its_place_in_a_layer(of_runner: Structure) -> None:
    assert sorted(of_runner.nodes) == sorted(name for layer in of_runner.layers for name in layer)


def test_an_import_between_two_packages_is_an_arrow(of_runner: Structure) -> None:
    assert ("cli", "manager") in of_runner.arrows
    assert not any(one == other for one, other in of_runner.arrows)


def test_layers_are_those_of_the_contract() -> None:
    assert structure.layers_of("some_package", LAYERS) == (("top",), ("left", "right"), ("bottom",))


def test_a_package_without_a_contract_is_refused() -> None:
    with pytest.raises(LookupError, match="other_package"):
        structure.layers_of("other_package", LAYERS)


def test_an_arrow_is_strong_unless_a_longer_path_joins_its_ends() -> None:
    assert made_of("a>b", "b>c", "a>c", "a>d").strong() == {("a", "b"), ("b", "c"), ("a", "d")}


@pytest.mark.parametrize(("arrows", "cycle"), [(("a>b", "b>c"), []), (("a>b", "b>c", "c>b"), ["b", "c"])])
def test_finds_what_reaches_itself(arrows: tuple[str, ...], cycle: list[str]) -> None:
    found = made_of(*arrows)
    assert found.cycles() == cycle
    assert ("no cycle" in structure.summary(found)) == (not cycle)


def test_draws_every_node_and_every_arrow_inside_the_picture() -> None:
    drawn = ET.fromstring(structure.render(made_of("a>b", "b>c", "a>c"), "some_package"))  # noqa: S314 - our own text
    names = {text.text for text in drawn.iter(f"{SVG}text")}
    assert {"a", "b", "c", "3 files and folders, 3 imports between them, 3 layers, no cycle"} <= names
    paths = [path.attrib["d"] for path in drawn.iter(f"{SVG}path") if "C" in path.attrib["d"]]
    assert len(paths) == 3
    _, _, width, height = map(float, drawn.attrib["viewBox"].split())
    for box in drawn.iter(f"{SVG}rect"):
        assert 0 <= float(box.get("x", "0")) <= float(box.get("x", "0")) + float(box.attrib["width"]) <= width
        assert float(box.get("y", "0")) + float(box.attrib["height"]) <= height
