"""The text of a watches file: environment variables, YAML, line numbers.

First step of ``load``; ``schema`` takes the values. YAML is read as upstream reads it (1.1, anchors and merge keys
included), with three differences that lose nothing: a key is always text (so that ``on:`` is not a boolean), a date
stays the text it was written as, and a key written twice is an error instead of a silent choice.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import yaml

Value: TypeAlias = Any
"""A decoded YAML value: mappings with text keys, lists, scalars that JSON has."""

Path: TypeAlias = tuple[str | int, ...]
"""Where a value is in the document: keys and list indexes."""

UNDEFINED_REFERENCE = re.compile(r"\$\{([A-Za-z_]\w*)\}", re.ASCII)
_REFERENCE = re.compile(r"\$(?:\{(?P<braced>[A-Za-z_]\w*)\}|(?P<plain>[A-Za-z_]\w*))", re.ASCII)
_TAG_PREFIX = "tag:yaml.org,2002:"
_MERGE_TAG = f"{_TAG_PREFIX}merge"
_PLAIN_TAGS = frozenset(f"{_TAG_PREFIX}{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq"))


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong at a line (1-based; None: the file as a whole)."""

    line: int | None
    message: str


class YamlTextError(Exception):
    """The text is not a YAML document that a watches file can be."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(problem.message for problem in problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Document:
    """A decoded document that still knows where each value was written.

    ``value`` is None for an empty file.
    """

    value: Value
    _root: yaml.Node | None
    _written_lines: tuple[int, ...]

    def line(self, path: Path) -> int | None:
        """Return the line (1-based) of the value at ``path``.

        Where that was not written, the line of the nearest value above it.
        """
        node, line = self._root, None
        for step in path:
            found = _child(node, step)
            if found is None:
                break
            mark, node = found
            line = _written_line(self._written_lines, mark)
        return line


def read(text: str, environ: Mapping[str, str]) -> Document:
    """Expand environment variables and decode.

    Raises ``YamlTextError`` with everything that is wrong.
    """
    expanded, written_lines = _expand(text, environ)
    _check_characters(expanded, written_lines)
    loader = _Loader(expanded)
    try:
        root = loader.get_single_node()
        decoder = _Decoder(loader, written_lines)
        value = decoder.decode(root) if root is not None else None
    except yaml.MarkedYAMLError as error:
        raise YamlTextError([_syntax_problem(error, written_lines)]) from error
    except RecursionError as error:
        raise YamlTextError([Problem(None, "is nested too deeply")]) from error
    finally:
        loader.dispose()
    if decoder.problems:
        raise YamlTextError(decoder.problems)
    return Document(value, root, written_lines)


def _check_characters(text: str, written_lines: tuple[int, ...]) -> None:
    found = _Loader.NON_PRINTABLE.search(text)
    if found is not None:
        line = written_lines[text.count("\n", 0, found.start())]
        raise YamlTextError([Problem(line, f"found the character {found.group()!r}, expected text; is this YAML?")])


def _expand(text: str, environ: Mapping[str, str]) -> tuple[str, tuple[int, ...]]:
    """Replace ``$VAR`` and ``${VAR}`` if the variable is set, as upstream does.

    Also returns, for each line of the result, the number of the line that it was written on: a value may hold line
    breaks, and messages name lines of the file as it is.
    """

    def replacement(match: re.Match[str]) -> str:
        return environ.get(match["braced"] or match["plain"], match[0])

    expanded: list[str] = []
    written_lines: list[int] = []
    for number, written in enumerate(text.split("\n"), start=1):
        lines = _REFERENCE.sub(replacement, written).split("\n")
        expanded.extend(lines)
        written_lines.extend([number] * len(lines))
    return "\n".join(expanded), tuple(written_lines)


class _Loader(yaml.SafeLoader):
    """YAML 1.1 without dates and without the value key ``=``.

    No constructor reads that key.
    """


_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern) for tag, pattern in resolvers if tag not in {f"{_TAG_PREFIX}timestamp", f"{_TAG_PREFIX}value"}
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@dataclass(slots=True)
class _Decoder:
    """Turns nodes into values, once for each node however many aliases it has."""

    loader: _Loader
    written_lines: tuple[int, ...]
    problems: list[Problem] = field(default_factory=list)
    _decoded: dict[int, Value] = field(default_factory=dict)
    _open: set[int] = field(default_factory=set)

    def decode(self, node: yaml.Node) -> Value:
        identity = id(node)
        if identity in self._open:
            self._report(node, "found an anchor that holds an alias to itself, expected a finite value")
            return None
        if identity not in self._decoded:
            self._open.add(identity)
            self._decoded[identity] = self._value(node)
            self._open.discard(identity)
        return self._decoded[identity]

    def _value(self, node: yaml.Node) -> Value:
        if node.tag not in _PLAIN_TAGS:
            self._report(node, f"found the tag {_short(node.tag)}, expected a plain value: tags are not supported")
            return None
        match node:
            case yaml.MappingNode():
                return self._mapping(node)
            case yaml.SequenceNode():
                return [self.decode(item) for item in node.value]
            case _:
                return self._scalar(node)

    def _scalar(self, node: yaml.Node) -> Value:
        try:
            value = self.loader.construct_object(node)
        except ValueError:
            self._report(node, f"found {node.value!r}, expected {_short(node.tag)}")
            return None
        if isinstance(value, float) and not math.isfinite(value):
            self._report(node, f"found {node.value!r}, expected a finite number: JSON has no other")
        if _is_no_text(node):
            self._report(node, f"found {node.value!r}, expected text: half a character is none")
            return None
        return value

    def _mapping(self, node: yaml.MappingNode) -> dict[str, Value]:
        self._check_keys(node)
        self.loader.flatten_mapping(node)
        return {key.value: self.decode(value) for key, value in node.value if isinstance(key, yaml.ScalarNode)}

    def _check_keys(self, node: yaml.MappingNode) -> None:
        first_lines: dict[str, int] = {}
        for key, _value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._report(key, "found a list or a mapping as a key, expected text")
            elif _is_no_text(key):
                self._report(key, f"found the key {key.value!r}, expected text: half a character is none")
            elif key.tag != _MERGE_TAG and key.value in first_lines:
                self._report(key, f"found the key {key.value!r} twice (first in line {first_lines[key.value]})")
            else:
                first_lines[key.value] = _written_line(self.written_lines, key.start_mark)

    def _report(self, node: yaml.Node, message: str) -> None:
        self.problems.append(Problem(_written_line(self.written_lines, node.start_mark), message))


def _child(node: yaml.Node | None, step: str | int) -> tuple[yaml.Mark, yaml.Node] | None:
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        item = node.value[step]
        return item.start_mark, item
    if isinstance(node, yaml.MappingNode) and isinstance(step, str):
        # The last one counts: what a merge key brought stands before the mapping's own keys.
        for key, value in reversed(node.value):
            if isinstance(key, yaml.ScalarNode) and key.value.lower() == step.lower():
                return key.start_mark, value
    return None


def _written_line(written_lines: tuple[int, ...], mark: yaml.Mark) -> int:
    return written_lines[min(mark.line, len(written_lines) - 1)]


def _syntax_problem(error: yaml.MarkedYAMLError, written_lines: tuple[int, ...]) -> Problem:
    problem = " ".join(part for part in (error.context, error.problem) if part)
    mark = error.problem_mark or error.context_mark
    return Problem(_written_line(written_lines, mark) if mark else None, f"is not YAML: {problem}")


def _is_no_text(scalar: yaml.Node) -> bool:
    """Return whether an escape of a surrogate stands in a scalar: UTF-8 cannot hold it, nor can JSON."""
    return any("\ud800" <= character <= "\udfff" for character in scalar.value)


def _short(tag: str) -> str:
    return f"!!{tag.removeprefix(_TAG_PREFIX)}" if tag.startswith(_TAG_PREFIX) else tag
