"""YAML of roles and playbooks, read as data.

Nothing is evaluated, and an unknown tag (``!vault``) is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml


class YamlFileError(Exception):
    """A file cannot be read, or is no YAML. The message says what was found."""


class WrittenMapping(dict[Any, Any]):
    """A mapping that knows the line (1-based) in which it begins."""

    line = 0


class _Loader(yaml.SafeLoader):
    """A safe loader to which no tag is an error, and whose mappings know their lines."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> Iterator[WrittenMapping]:
    made = WrittenMapping()
    made.line = node.start_mark.line + 1
    yield made
    made.update(loader.construct_mapping(node))


def _untagged(loader: _Loader, suffix: str, node: yaml.Node) -> object:
    del suffix
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return node.value


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)
_Loader.add_multi_constructor("!", _untagged)


def documents(path: Path) -> list[Any]:
    """Return the documents of a file that are not empty. Raises ``YamlFileError``."""
    return documents_of(text_of(path))


def documents_of(text: str) -> list[Any]:
    """Return the documents of a text that are not empty. Raises ``YamlFileError``."""
    try:
        # A safe loader: the class adds nothing but tags that mean nothing, and lines.
        loaded = [document for document in yaml.load_all(text, _Loader) if document is not None]
        is_endless = _has_cycle(loaded, set(), set())
    except (yaml.YAMLError, ValueError) as error:
        problem = str(error).splitlines()[0]
        raise YamlFileError(f"found no YAML ({problem}), expected some") from error
    except RecursionError as error:
        raise YamlFileError("found values that are nested too deeply, expected a few levels") from error
    if is_endless:
        raise YamlFileError("found an anchor that holds an alias to itself, expected a finite value")
    return loaded


def _has_cycle(value: object, around: set[int], finite: set[int]) -> bool:
    """Tell whether a value is in itself.

    ``around``: the ids of what it is in; ``finite``: of what was looked at.
    """
    children = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    if id(value) in around:
        return True
    if children and id(value) not in finite:
        around.add(id(value))
        if any(_has_cycle(child, around, finite) for child in children):
            return True
        around.remove(id(value))
        finite.add(id(value))
    return False


def text_of(path: Path) -> str:
    """Return a file's text. Raises ``YamlFileError``."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise YamlFileError(f"cannot be read: {(error.strerror or str(error)).lower()}") from error
    except UnicodeDecodeError as error:
        raise YamlFileError("found bytes that are not UTF-8, expected text") from error
