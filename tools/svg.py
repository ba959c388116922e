"""The look that the drawn pictures of the documents share: plain SVG, for light and for dark pages."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import Final

STYLE: Final = """\
.ground{fill:#ffffff}.box{fill:#f7fafc;stroke:#4a5568;stroke-width:1.4}.own{fill:#ebf4ff;stroke:#2b6cb0;stroke-width:1.4}
.name{font-weight:600;fill:#1a202c}.note{font-size:11.5px;fill:#4a5568}.label{font-size:11.5px;fill:#2d3748}
.line{stroke:#4a5568;stroke-width:1.6;fill:none;marker-end:url(#arrow)}.faint{stroke:#a0aec0;stroke-width:.8;fill:none}
.head{fill:#4a5568}.band{fill:#f7fafc}
@media (prefers-color-scheme: dark){
.ground{fill:#0d1117}.box{fill:#1c2430;stroke:#a0aec0}.own{fill:#14304f;stroke:#63b3ed}
.name{fill:#f7fafc}.note{fill:#a0aec0}.label{fill:#cbd5e0}
.line{stroke:#a0aec0}.faint{stroke:#4a5568}.head{fill:#a0aec0}.band{fill:#161c26}
}"""
"""Classes of boxes, texts and lines. `prefers-color-scheme` is the reader's choice, and holds inside <img>, too."""

ARROW: Final = (
    '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
    'orient="auto-start-reverse"><path d="M0 0L8 4L0 8z" class="head"/></marker></defs>'
)


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture's size in pixels, and what it is and shows, for those who hear it instead."""

    width: int
    height: int
    title: str
    description: str


def document(picture: Picture, body: Iterable[str], style: str = "") -> str:
    """Return the SVG text: the ground, then the elements of the body. `style` is added to the shared classes."""
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {picture.width} {picture.height}"'
        ' font-family="system-ui, sans-serif" font-size="14" role="img" aria-labelledby="t d">'
    )
    return "\n".join(
        [
            opening,
            f'<title id="t">{escape(picture.title)}</title>',
            f'<desc id="d">{escape(picture.description)}</desc>',
            ARROW,
            f"<style>\n{STYLE}{style}\n</style>",
            f'<rect class="ground" width="{picture.width}" height="{picture.height}"/>',
            *body,
            "</svg>",
            "",
        ]
    )
