"""The fields that every object of a watch has, by its CRD in the operator's directory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from reconcile_runner.content.yamlfiles import YamlFileError, documents
from reconcile_runner.reconciler.snakecase import to_snake_case
from reconcile_runner.watches.watch import Watch

_DIRECTORIES: Final = ("crds", "config/crd/bases")
"""Where operators keep their CRDs, from their directory."""


def required_fields(watch: Watch, directory: Path) -> frozenset[str]:
    """Return the variables of the fields that a CRD requires, or has a default for; none where there is no CRD."""
    found: set[str] = set()
    for file in (path for name in _DIRECTORIES for path in sorted((directory / name).glob("*.y*ml"))):
        try:
            loaded = documents(file)
        except YamlFileError:  # the file is not what this is about
            continue
        for spec in (spec for document in loaded for spec in _schemas(document, watch)):
            fields = spec.get("properties") or {}
            found |= set(spec.get("required") or ())
            found |= {name for name, schema in fields.items() if isinstance(schema, dict) and "default" in schema}
    convert = to_snake_case if watch.snake_case_parameters else str
    return frozenset(convert(str(name)) for name in found)


def _schemas(document: Any, watch: Watch) -> Iterator[dict[str, Any]]:
    """Yield the schema of ``spec`` in the version that is watched."""
    try:
        spec = document["spec"]
        if (spec["group"], spec["names"]["kind"]) != (watch.gvk.group, watch.gvk.kind):
            return
        for version in spec["versions"]:
            if version["name"] == watch.gvk.version:
                yield version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    except (KeyError, TypeError):  # no CRD, or one without a schema
        return
