"""How kinds are served: plural, scope and subresources.

Kinds come from CRDs in a directory, from a cluster's discovery, or from the table of ``builtin``; what none of them
knows is guessed as client-go does, and said. Versions do not matter: rights have none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from reconcile_runner.apimachinery.objects import GroupVersionKind, KubeObject
from reconcile_runner.client.discovery import Resource
from reconcile_runner.content.unknowns import Place, Unknowns
from reconcile_runner.content.yamlfiles import YamlFileError, documents
from reconcile_runner.errors import ConfigError
from reconcile_runner.rbac.builtin import builtin_resources

DEFAULT_CRDS: Final = (Path("crds"), Path("config/crd/bases"))
"""Where this project and operator-sdk have the CRDs of an operator."""
CRD_SUFFIXES: Final = frozenset({".yaml", ".yml", ".json"})


class KindTable:
    """How each known kind is served.

    Of two resources of one kind, the first one counts.
    """

    def __init__(self, resources: Iterable[Resource], unknowns: Unknowns) -> None:
        self._unknowns = unknowns
        self._by_kind: dict[tuple[str, str], Resource] = {}
        self._by_name: dict[str, list[Resource]] = {}
        for resource in (*resources, *builtin_resources()):
            gvk = resource.gvk
            # kubernetes.core looks for a kind by any of these.
            for name in dict.fromkeys((gvk.kind, resource.plural, gvk.kind.lower())):
                self._by_kind.setdefault((gvk.group, name), resource)
                self._by_name.setdefault(name, []).append(resource)

    def find(self, gvk: GroupVersionKind, place: Place | None = None) -> Resource:
        """Return how a kind is served.

        ``place``: who asks, named where the kind is not known.
        """
        return self._by_kind.get((gvk.group, gvk.kind)) or self._guessed(gvk, place)

    def find_as_client(self, gvk: GroupVersionKind, place: Place | None = None) -> Resource:
        """Return how the kind that a task names is served.

        As the client of kubernetes.core finds it: a version without a group is one of any group, where the core group
        has no such kind and one other has.
        """
        known = self._by_kind.get((gvk.group, gvk.kind))
        if known is not None or gvk.group:
            return known or self._guessed(gvk, place)
        of_version = [it for it in self._by_name.get(gvk.kind, ()) if it.gvk.version in {"", gvk.version}]
        is_clear = len({it.gvk.group for it in of_version}) == 1
        return of_version[0] if is_clear else self._guessed(gvk, place)

    def _guessed(self, gvk: GroupVersionKind, place: Place | None) -> Resource:
        guess = Resource(gvk, _guessed_plural(gvk.kind), namespaced=True, subresources=frozenset({"status", "scale"}))
        self._unknowns.add(
            place,
            f"{gvk.kind} of {gvk.api_version} is not known: {guess.plural}, namespaced, is a guess; say it with the "
            "kind's CRD in the directory of --crds, or a cluster that serves it, --kubeconfig",
        )
        return guess


def crd_directories(given: Path | None) -> list[Path]:
    """Return the directory of ``--crds``, else those in the working directory where operators have their CRDs."""
    return [given] if given is not None else [path for path in DEFAULT_CRDS if path.is_dir()]


def resources_of_crds(directory: Path) -> list[Resource]:
    """Return the kinds that the CRDs of a directory, and those below it, define.

    Raises ``ConfigError``.
    """
    if not directory.is_dir():
        raise ConfigError(f"--crds: found no directory {directory}, expected one with CRDs")
    found: list[Resource] = []
    for file in sorted(path for path in directory.rglob("*") if path.suffix in CRD_SUFFIXES and path.is_file()):
        try:
            loaded = documents(file)
        except YamlFileError as error:
            raise ConfigError(f"{file}: {error}") from error
        for document in loaded:
            if isinstance(document, dict) and document.get("kind") == "CustomResourceDefinition":
                found += _resources_of(document, file)
    return found


def _resources_of(crd: KubeObject, file: Path) -> Iterator[Resource]:
    try:
        spec = crd["spec"]
        for version in spec["versions"]:
            yield Resource(
                gvk=GroupVersionKind(spec["group"], version["name"], spec["names"]["kind"]),
                plural=spec["names"]["plural"],
                namespaced=spec["scope"] == "Namespaced",
                subresources=frozenset(version.get("subresources") or ()),
            )
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{file}: found a CustomResourceDefinition without group, scope, names or versions, expected all of them"
        ) from error


def _guessed_plural(kind: str) -> str:
    """Return what ``UnsafeGuessKindToResource`` of apimachinery returns."""
    name = kind.lower()
    if name.endswith("s"):
        return f"{name}es"
    return f"{name[:-1]}ies" if name.endswith("y") else f"{name}s"
