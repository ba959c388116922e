"""Schemas of a status as generators and projects write them, and definitions of kinds that have them."""

from __future__ import annotations

import copy
import enum
from typing import Any

from tools.testing.definitions import custom_resource_definition

ANYTHING: dict[str, Any] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}

METAV1_CONDITION: dict[str, Any] = {
    "type": "object",
    "required": ["lastTransitionTime", "message", "reason", "status", "type"],
    "properties": {
        "type": {
            "type": "string",
            "maxLength": 316,
            "pattern": r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
            r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$",
        },
        "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
        "observedGeneration": {"type": "integer", "format": "int64", "minimum": 0},
        "lastTransitionTime": {"type": "string", "format": "date-time"},
        "reason": {
            "type": "string",
            "minLength": 1,
            "maxLength": 1024,
            "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
        },
        "message": {"type": "string", "maxLength": 32768},
    },
}
"""``metav1.Condition`` as controller-gen writes it."""


def _conditions(item: dict[str, Any]) -> dict[str, Any]:
    keys = (
        {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]} if "status" in _fields(item) else {}
    )
    return {"type": "array", "items": item, **keys}


def _fields(item: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = item["properties"]
    return found


def _item(*fields: str) -> dict[str, Any]:
    """Return a condition of which a schema keeps these fields alone."""
    return {"type": "object", "required": ["type"], "properties": {name: {"type": "string"} for name in fields}}


_GENERATION = {"observedGeneration": {"type": "integer", "format": "int64"}}


class StatusSchema(enum.Enum):
    """A kind's status: its name, its schema, and whether it is a subresource."""

    OPEN = ("Openly", ANYTHING, True)
    CONTROLLER_GEN = (
        "Generated",
        {"type": "object", "properties": {"conditions": _conditions(METAV1_CONDITION)}},
        True,
    )
    FLUX = (
        "Fluxlike",
        {
            "type": "object",
            "default": {"observedGeneration": -1},
            "properties": {"conditions": _conditions(METAV1_CONDITION), **_GENERATION},
        },
        True,
    )
    PRUNED_ITEMS = (
        "Pruned",
        {
            "type": "object",
            "properties": {
                "conditions": _conditions(_item("type", "status", "reason", "message", "lastTransitionTime"))
            },
        },
        True,
    )
    PRUNED_REASONS = (
        "Unreasoned",
        {"type": "object", "properties": {"conditions": _conditions(_item("type", "status")), **_GENERATION}},
        True,
    )
    NO_CONDITIONS = ("Mute", {"type": "object", "properties": {"phase": {"type": "string"}}}, True)
    KOPF = ("Kopflike", ANYTHING, False)
    ARGO = (
        "Argolike",
        {
            "type": "object",
            "properties": {"conditions": _conditions(_item("type", "message", "lastTransitionTime"))},
        },
        False,
    )
    PLAIN_METAV1 = (
        "Plainly",
        {"type": "object", "properties": {"conditions": _conditions(METAV1_CONDITION), **_GENERATION}},
        False,
    )
    PRESERVED = ("Preserved", None, True)

    def __init__(self, kind: str, status: dict[str, Any] | None, has_subresource: bool) -> None:
        self.kind = kind
        self.status_schema = status
        self.has_subresource = has_subresource

    @property
    def keeps_verdicts(self) -> bool:
        """Whether the status of a condition can be read back."""
        conditions = (self.status_schema or ANYTHING).get("properties", {}).get("conditions")
        if conditions is None:
            return self in (StatusSchema.OPEN, StatusSchema.KOPF, StatusSchema.PRESERVED)
        return "status" in _fields(conditions["items"])

    @property
    def keeps_generation(self) -> bool:
        """Whether ``status.observedGeneration`` can be read back."""
        properties = (self.status_schema or ANYTHING).get("properties")
        return properties is None or "observedGeneration" in properties

    def definition(self, group: str) -> dict[str, Any]:
        """Return the definition of the kind."""
        made = copy.deepcopy(custom_resource_definition(group, self.kind))
        version = made["spec"]["versions"][0]
        schema = version["schema"]["openAPIV3Schema"]
        if self.status_schema is None:
            del schema["properties"]
        else:
            del schema["x-kubernetes-preserve-unknown-fields"]
            schema["properties"]["status"] = self.status_schema
        if not self.has_subresource:
            del version["subresources"]
        return made
