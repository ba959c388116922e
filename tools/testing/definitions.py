"""Custom resource definitions that tests and benchmarks make for kinds of their own."""

from __future__ import annotations

from typing import Any


def custom_resource_definition(group: str, kind: str, *, namespaced: bool = True) -> dict[str, Any]:
    """Return the definition of a kind, version v1, whose objects may hold anything and have a status."""
    plural = f"{kind.lower()}s"
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"openAPIV3Schema": {**anything, "properties": {"spec": anything, "status": anything}}}
    version = {"name": "v1", "served": True, "storage": True, "subresources": {"status": {}}, "schema": schema}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced" if namespaced else "Cluster",
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind},
            "versions": [version],
        },
    }
