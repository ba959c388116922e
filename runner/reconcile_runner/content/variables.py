"""Variables as files define them: enough for ``kind: "{{ my_kind }}"``.

Nothing is templated.

A variable that a task sets while it runs is not known, and neither is one that an object's spec brings along. What is
not known stays a template.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

_MAX_REFERENCE_DEPTH: Final = 10
"""References that lead to references, before they are taken for circular."""

_REFERENCE: Final = re.compile(
    r"""\{\{-?\s*(?P<path>[A-Za-z_]\w*(?:\.\w+|\[(?:'\w+'|"\w+")\])*)\s*"""
    r"""(?:\|\s*default\(\s*(?:'(?P<single>[^']*)'|"(?P<double>[^"]*)")\s*(?:,\s*[Tt]rue\s*)?\)\s*)?-?\}\}"""
)
_STEP: Final = re.compile(r"\w+")
_TEMPLATE: Final = re.compile(r"\{\{|\{%")


def is_template(text: str) -> bool:
    """Tell whether a text is more than what it says."""
    return _TEMPLATE.search(text) is not None


@dataclass(slots=True)
class Assigned:
    """Names that tasks set while they run; one for each run."""

    names: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Variables:
    """Layers of variables; the first one that has a name counts.

    ``top`` are those that nothing in a role overrides: the item of a loop, the variables of the watch.
    """

    top: tuple[Mapping[str, Any], ...] = ()
    layers: tuple[Mapping[str, Any], ...] = ()
    assigned: Assigned = field(default_factory=Assigned)

    def with_overrides(self, layer: object) -> Variables:
        """Return these as they are where ``layer`` holds besides, and hides outer ones.

        No mapping: nothing holds.
        """
        return replace(self, layers=(layer, *self.layers)) if isinstance(layer, dict) else self

    def with_defaults(self, layer: object) -> Variables:
        """Return these with others that any of these hides."""
        return replace(self, layers=(*self.layers, layer)) if isinstance(layer, dict) else self

    def with_loop_item(self, name: str, item: object) -> Variables:
        """Return these as they are in one turn of a loop."""
        return self.with_fixed({name: item})

    def with_fixed(self, layer: Mapping[str, Any]) -> Variables:
        """Return these with others that nothing overrides, as Ansible's own."""
        return replace(self, top=(layer, *self.top))

    @property
    def fingerprint(self) -> str:
        """Return a text that is the same for the same names and values, wherever they come from."""
        merged: dict[str, Any] = {}
        for layer in reversed((*self.top, *self.layers)):
            merged |= layer
        return repr(sorted(merged.items(), key=lambda item: str(item[0])))

    def resolve(self, value: object, depth: int = 0) -> Any:
        """Return a value with its references to known variables replaced, at any depth."""
        match value:
            case str():
                return self._resolve_text(value, depth) if depth < _MAX_REFERENCE_DEPTH else value
            case dict():
                return {key: self.resolve(item, depth) for key, item in value.items()}
            case list():
                return [self.resolve(item, depth) for item in value]
            case _:
                return value

    def _resolve_text(self, text: str, depth: int) -> Any:
        whole = _REFERENCE.fullmatch(text.strip())
        if whole is not None:
            return self._follow(whole, depth)

        def replaced(found: re.Match[str]) -> str:
            value = self._follow(found, depth)
            return str(value) if isinstance(value, (str, int)) else found[0]

        return _REFERENCE.sub(replaced, text)

    def _follow(self, reference: re.Match[str], depth: int) -> Any:
        name, *steps = _STEP.findall(reference["path"])
        fallback = reference["single"] if reference["single"] is not None else reference["double"]
        if name in self.assigned.names:
            return reference[0]
        layer = next((layer for layer in (*self.top, *self.layers) if name in layer), None)
        if layer is None:
            return reference[0] if fallback is None else fallback
        value = self.resolve(layer[name], depth + 1)
        for step in steps:
            if not isinstance(value, dict) or step not in value:
                return reference[0]
            value = value[step]
        return value
