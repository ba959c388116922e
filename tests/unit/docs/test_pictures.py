"""The pictures of the documents, for those who see them on a light or a dark page, and those who hear them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from tests.support.paths import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

SVG = "{http://www.w3.org/2000/svg}"
PICTURES = sorted((REPOSITORY / "docs").rglob("*.svg"))


@pytest.fixture(params=PICTURES, ids=lambda path: path.name)
def picture(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def test_has_a_title_and_a_description(picture: Path) -> None:
    root = ET.fromstring(picture.read_text())  # noqa: S314 - our own text
    assert root.attrib["role"] == "img"
    described = set(root.attrib["aria-labelledby"].split())
    texts = {child.get("id"): child.text for child in root if child.tag in {f"{SVG}title", f"{SVG}desc"}}
    assert described == set(texts)
    assert all(texts.values())


def test_every_class_that_is_filled_or_drawn_on_a_light_page_has_a_colour_on_a_dark_one(picture: Path) -> None:
    style = "".join(re.findall(r"<style>(.*?)</style>", picture.read_text(), re.DOTALL))
    light, _, dark = style.partition("@media (prefers-color-scheme: dark)")
    coloured = set(re.findall(r"\.(\w+)(?:,[.\w]+)*\s*\{[^}]*(?:fill|stroke):#", light))
    assert coloured
    assert coloured <= set(re.findall(r"\.(\w+)", dark))


def test_is_shown_in_a_page(picture: Path) -> None:
    pages = [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")]
    assert any(picture.name in page.read_text() for page in pages)
