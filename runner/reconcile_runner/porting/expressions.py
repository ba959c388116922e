"""Jinja expressions and templates as trees, parsed as Ansible parses them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from jinja2 import Environment, TemplateSyntaxError, nodes
from jinja2.parser import Parser

_ENVIRONMENT: Final = Environment(trim_blocks=True, extensions=["jinja2.ext.do", "jinja2.ext.loopcontrols"])  # noqa: S701  # nothing is rendered
_TEMPLATE: Final = re.compile(r"\{\{|\{%")
_DELIMITER: Final = re.compile(r"\{[{%#]")
_OWN_SETTINGS: Final = "#jinja2:"
"""How a template file begins that has settings of its own, for example other delimiters."""

_OUTPUT: Final = (nodes.Output, nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends, nodes.CallBlock)


def parse_expression(text: str) -> nodes.Expr | None:
    """Return the tree of an expression without delimiters; None where it is none."""
    try:
        parser = Parser(_ENVIRONMENT, text.strip(), state="variable")
        found = parser.parse_expression()
    except TemplateSyntaxError:
        return None
    return found if parser.stream.eos else None


def parse_template(text: str) -> nodes.Template | None:
    """Return the tree of a text with templates in it; None where it is none."""
    if not _TEMPLATE.search(text):
        return None
    try:
        return _ENVIRONMENT.parse(text)
    except TemplateSyntaxError:
        return None


def only_expression(template: nodes.Template) -> nodes.Expr | None:
    """Return the expression that a template consists of, whose type its value keeps; None where there is more."""
    match template.body:
        case [nodes.Output(nodes=[nodes.TemplateData()])]:
            return None
        case [nodes.Output(nodes=[nodes.Expr() as expression])]:
            return expression
        case _:
            return None


def has_own_settings(text: str) -> bool:
    """Whether a template file's text says in its first line how it is to be parsed, which is not known here."""
    return text.startswith(_OWN_SETTINGS)


def never_prints(text: str) -> bool:
    """Whether a template file's text gives no output whatever its variables are: it has comments alone, for example.

    A text without any of Jinja's delimiters is no template, and prints itself, even where it is empty.
    """
    if has_own_settings(text) or not _DELIMITER.search(text):
        return False
    try:
        return next(_ENVIRONMENT.parse(text).find_all(_OUTPUT), None) is None
    except TemplateSyntaxError:
        return False


def names_set_in(tree: nodes.Node) -> Iterator[str]:
    """Yield the names that a template gives values itself, by ``set``, ``for`` and the like."""
    for name in tree.find_all(nodes.Name):
        if name.ctx != "load":
            yield name.name
