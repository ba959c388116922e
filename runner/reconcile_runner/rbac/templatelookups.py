"""The lookup ``kubernetes.core.k8s`` in templates, which needs rights to read.

The texts are files of tasks and variables, and the templates of roles.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from reconcile_runner.apimachinery.objects import GroupVersionKind
from reconcile_runner.content.unknowns import Place, Unknowns
from reconcile_runner.rbac.kinds import KindTable
from reconcile_runner.rbac.modules import Use

_CALL: Final = re.compile(
    r"""\b(?:lookup|query|q)\(\s*['"](?:kubernetes\.core\.|community\.kubernetes\.|community\.okd\.)?k8s['"]\s*(?P<rest>,|\))"""
)
_OPTION: Final = re.compile(r"""(?P<name>\w+)\s*=\s*(?:'(?P<single>[^']*)'|"(?P<double>[^"]*)"|(?P<other>[^,)]+))""")
_COMMENT: Final = re.compile(r"^\s*#.*$", re.MULTILINE)


def lookups(text: str, place: Place, kinds: KindTable, unknowns: Unknowns) -> Iterator[Use]:
    """Yield what the lookups in a text need.

    What files do not tell goes to ``unknowns``.
    """
    text = _COMMENT.sub("", text)
    for call in _CALL.finditer(text):
        options = {it["name"]: it for it in _OPTION.finditer(_arguments(text[call.end("rest") - 1 :]))}
        if "cluster_info" in options:
            continue
        kind, version = _literal(options.get("kind")), _literal(options.get("api_version"), "v1")
        if not kind or not version:
            unknowns.add(
                place, f"found {_shown(text, call)}, expected a kind in quotes; add by hand the right to read it"
            )
            continue
        resource = kinds.find_as_client(GroupVersionKind.of({"apiVersion": version, "kind": kind}), place)
        if "resource_name" in options:
            yield Use(resource, frozenset({"get"}), name=_literal(options["resource_name"]))
        else:
            yield Use(resource, frozenset({"list"}), is_cluster_wide="namespace" not in options)


def _literal(option: re.Match[str] | None, default: str = "") -> str:
    """Return an option's value, ``default`` where it is not given.

    Nothing where it is not in quotes.
    """
    return default if option is None else option["single"] or option["double"] or ""


def _arguments(text: str) -> str:
    """Return the text up to the parenthesis that ends a call."""
    depth = 0
    for position, character in enumerate(text):
        if character == ")" and depth == 0:
            return text[:position]
        depth += {"(": 1, ")": -1}.get(character, 0)
    return text


def _shown(text: str, call: re.Match[str]) -> str:
    return " ".join(text[call.start() : call.start() + 60].split())
