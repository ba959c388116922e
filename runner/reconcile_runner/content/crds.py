"""The CRDs in an operator's directories: which kinds they define, how those are served, and which fields they have."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from reconcile_runner.apimachinery.fieldpath import ANY_ELEMENT, FieldPath, Step, parse_steps
from reconcile_runner.apimachinery.objects import GroupVersionKind, KubeObject
from reconcile_runner.client.discovery import Resource
from reconcile_runner.content.builtin import builtin_resources
from reconcile_runner.content.yamlfiles import YamlFileError, documents
from reconcile_runner.errors import ConfigError
from reconcile_runner.watches.findings import FindingSeverity
from reconcile_runner.watches.validation import Doubt

DEFAULT_CRDS: Final = (Path("crds"), Path("config/crd/bases"))
"""Where this project and operator-sdk have the CRDs of an operator."""
CRD_SUFFIXES: Final = frozenset({".yaml", ".yml", ".json"})

Schema: TypeAlias = Mapping[str, Any]

_TYPE_FIELDS: Final = frozenset({"apiVersion", "kind", "metadata"})
_METADATA: Final = frozenset(
    {
        "annotations",
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "finalizers",
        "generateName",
        "generation",
        "labels",
        "managedFields",
        "name",
        "namespace",
        "ownerReferences",
        "resourceVersion",
        "selfLink",
        "uid",
    }
)
"""The fields of ObjectMeta."""


@dataclass(frozen=True, slots=True)
class DefinedKind:
    """A version of a CRD. ``schema`` is None where it has none, so that any field may be there."""

    resource: Resource
    schema: Schema | None = None


def crd_directories(given: Path | None) -> list[Path]:
    """Return the directory of ``--crds``, else those in the working directory where operators have their CRDs."""
    return [given] if given is not None else [path for path in DEFAULT_CRDS if path.is_dir()]


def defined_kinds(directory: Path) -> list[DefinedKind]:
    """Return the kinds that the CRDs of a directory, and those below it, define. Raises ``ConfigError``."""
    if not directory.is_dir():
        raise ConfigError(f"--crds: found no directory {directory}, expected one with CRDs")
    found: list[DefinedKind] = []
    for file in sorted(path for path in directory.rglob("*") if path.suffix in CRD_SUFFIXES and path.is_file()):
        try:
            loaded = documents(file)
        except YamlFileError as error:
            raise ConfigError(f"{file}: {error}") from error
        for document in loaded:
            if isinstance(document, dict) and document.get("kind") == "CustomResourceDefinition":
                found += _kinds_of(document, file)
    return found


def _kinds_of(crd: KubeObject, file: Path) -> Iterator[DefinedKind]:
    try:
        spec = crd["spec"]
        for version in spec["versions"]:
            resource = Resource(
                gvk=GroupVersionKind(spec["group"], version["name"], spec["names"]["kind"]),
                plural=spec["names"]["plural"],
                namespaced=spec["scope"] == "Namespaced",
                subresources=frozenset(version.get("subresources") or ()),
            )
            yield DefinedKind(resource, (version.get("schema") or {}).get("openAPIV3Schema"))
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{file}: found a CustomResourceDefinition without group, scope, names or versions, expected all of them"
        ) from error


class CrdKinds:
    """What CRDs and Kubernetes itself say of the kinds and paths in a watches file. Implements ``KindChecks``."""

    def __init__(self, kinds: Iterable[DefinedKind]) -> None:
        self._schemas = {kind.resource.gvk: kind.schema for kind in kinds}
        self._built_in = {(it.gvk.group, it.gvk.kind) for it in builtin_resources()}

    def doubt_of_kind(self, gvk: GroupVersionKind) -> Doubt | None:
        """Say what is wrong with a kind. One of Kubernetes' own has any version: the table has none."""
        if gvk in self._schemas or (gvk.group, gvk.kind) in self._built_in:
            return None
        of_group = [known for known in self._schemas if known.group == gvk.group]
        if of_group:
            known = sorted(f"{it.version} {it.kind}" for it in of_group)
            found = f"{gvk.version} {gvk.kind}"
            return Doubt(FindingSeverity.ERROR, f"found {found}, {_expected(found, known)}")
        if "." not in gvk.group:
            kinds = sorted(kind for group, kind in self._built_in if group == gvk.group)
            return Doubt(FindingSeverity.ERROR, f"found {gvk.kind!r}, {_expected(gvk.kind, kinds)}")
        if self._schemas and not gvk.group.endswith(".k8s.io"):
            message = f"no CRD of {gvk.group} is at hand: neither kind nor paths are checked; --crds names a directory"
            return Doubt(FindingSeverity.WARNING, message)
        return None

    def doubt_of_path(self, gvk: GroupVersionKind, path: FieldPath) -> Doubt | None:
        """Say what is wrong with a path in objects of a kind."""
        first, *rest = parse_steps(path.text)
        if first == "metadata":
            missing = _missing_metadata(rest)
        elif first in _TYPE_FIELDS or gvk not in self._schemas:
            missing = ""
        else:
            missing = _missing(self._schemas[gvk], (first, *rest), gvk.kind)
        return Doubt(FindingSeverity.ERROR, f"found {path.text!r}, {missing}") if missing else None


def _missing_metadata(steps: Sequence[Step]) -> str:
    if not steps or steps[0] in _METADATA:
        return ""
    return _expected(str(steps[0]), sorted(_METADATA), "metadata")


def _missing(schema: Schema | None, steps: Sequence[Step], where: str) -> str:
    """Return what was expected in place of the first step that the schema prunes; empty where there is none."""
    if schema is None or not steps or schema.get("x-kubernetes-preserve-unknown-fields"):
        return ""
    step, *rest = steps
    if step is ANY_ELEMENT:
        if schema.get("type") not in {"array", None}:
            return f"expected no [*] behind {where}, which is no list"
        return _missing(schema.get("items"), rest, f"{where}[*]")
    if schema.get("type") == "array":
        return f"expected [*] behind {where}, which is a list"
    properties = schema.get("properties") or {}
    if step in properties:
        return _missing(properties[step], rest, f"{where}.{step}")
    if schema.get("x-kubernetes-embedded-resource") and step in _TYPE_FIELDS:
        return ""
    further = schema.get("additionalProperties")
    if further:
        return _missing(further if isinstance(further, dict) else None, rest, f"{where}.{step}")
    return _expected(str(step), sorted(properties), where)


def _expected(found: str, known: Sequence[str], where: str = "") -> str:
    place = f" of {where}" if where else ""
    guess = difflib.get_close_matches(found, known, n=1)
    if guess:
        return f"expected a field{place}; did you mean {guess[0]!r}?" if where else f"did you mean {guess[0]}?"
    return f"expected one{place}: {', '.join(known) or 'it has no fields'}"
