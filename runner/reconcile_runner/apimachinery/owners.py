"""An object's owners: how they are set and read.

As upstream: an owner is set as an owner reference where Kubernetes allows one (the owner is cluster-scoped, or both are
in one namespace), else as two annotations.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from reconcile_runner.apimachinery import objects
from reconcile_runner.apimachinery.objects import GroupVersionKind, KubeObject, ObjectKey, key_of, metadata
from reconcile_runner.compat import ANNOTATION_PRIMARY_RESOURCE, ANNOTATION_PRIMARY_RESOURCE_TYPE


@dataclass(frozen=True, slots=True)
class Owner:
    """The object that a run is for."""

    gvk: GroupVersionKind
    key: ObjectKey
    uid: str

    @property
    def type_name(self) -> str:
        """Return the owner's kind as the annotation has it: ``Kind.group``.

        For core kinds it is ``Kind``.
        """
        return _type_name(self.gvk)

    def may_be_referenced_from(self, namespace: str) -> bool:
        """Tell whether an object in ``namespace`` may have a reference to this owner.

        ``namespace`` is empty for a cluster-scoped object. Kubernetes deletes an object whose owner it cannot find in
        the object's own namespace.
        """
        return self.key.namespace in ("", namespace)


def set_owner(obj: KubeObject, owner: Owner, namespace: str) -> KubeObject:
    """Return ``obj`` with the owner set; ``obj`` itself where it has the owner.

    ``namespace`` is where ``obj`` is or will be. Other references stay, and annotations that name another owner win. A
    malformed object is returned unchanged, for the API server to refuse.
    """
    meta = obj.get("metadata", {})
    if not isinstance(meta, dict):
        return obj
    new = _referencing(meta, owner) if owner.may_be_referenced_from(namespace) else _annotated(meta, owner)
    return obj if new is meta else {**obj, "metadata": new}


def has_owner(obj: KubeObject, owner: Owner) -> bool:
    """Tell whether an object that the API server returned has this owner."""
    if any(reference.get("uid") == owner.uid for reference in _references(obj)):
        return True
    return owner.key in _keys_in_annotations(obj, owner.gvk)


def owner_keys(obj: KubeObject, gvk: GroupVersionKind) -> Iterator[ObjectKey]:
    """Yield the keys of an object's owners of one kind.

    The owners may be of any version of the kind, and need not be controllers. An owner reference does not say whether
    the owner is cluster-scoped: both keys that it can mean are yielded. The uid is ignored: what belonged to an object
    that was deleted and created again matters to the new one, too, because the garbage collector is about to delete it.
    """
    namespace = key_of(obj).namespace
    for reference in _references(obj):
        group, _, _ = str(reference.get("apiVersion", "")).rpartition("/")
        if (group, reference.get("kind")) == (gvk.group, gvk.kind):
            name = str(reference.get("name", ""))
            yield ObjectKey(namespace, name)
            if namespace:
                yield ObjectKey("", name)
    yield from _keys_in_annotations(obj, gvk)


def is_referenced(obj: KubeObject, gvk: GroupVersionKind) -> bool:
    """Tell whether an object has an owner reference to an object of a kind.

    Annotations do not count.
    """
    return any(
        (str(reference.get("apiVersion", "")).rpartition("/")[0], reference.get("kind")) == (gvk.group, gvk.kind)
        for reference in _references(obj)
    )


def _referencing(meta: dict[str, Any], owner: Owner) -> dict[str, Any]:
    references = meta.get("ownerReferences")
    references = [] if references is None else references
    if not isinstance(references, list):
        return meta
    if any(isinstance(reference, dict) and reference.get("uid") == owner.uid for reference in references):
        return meta
    own = {"apiVersion": owner.gvk.api_version, "kind": owner.gvk.kind, "name": owner.key.name, "uid": owner.uid}
    return {**meta, "ownerReferences": [*references, own]}


def _annotated(meta: dict[str, Any], owner: Owner) -> dict[str, Any]:
    present = meta.get("annotations")
    present = {} if present is None else present
    own = {ANNOTATION_PRIMARY_RESOURCE: str(owner.key), ANNOTATION_PRIMARY_RESOURCE_TYPE: owner.type_name}
    if not isinstance(present, dict) or own.keys() & present.keys():
        return meta
    return {**meta, "annotations": {**present, **own}}


def _references(obj: KubeObject) -> list[dict[str, Any]]:
    references: list[dict[str, Any]] = metadata(obj).get("ownerReferences") or []
    return references


def _keys_in_annotations(obj: KubeObject, gvk: GroupVersionKind) -> tuple[ObjectKey, ...]:
    found = objects.annotations(obj)
    if found.get(ANNOTATION_PRIMARY_RESOURCE_TYPE) != _type_name(gvk):
        return ()
    namespace, _, name = found.get(ANNOTATION_PRIMARY_RESOURCE, "").rpartition("/")
    return (ObjectKey(namespace, name),) if name else ()


def _type_name(gvk: GroupVersionKind) -> str:
    return f"{gvk.kind}.{gvk.group}" if gvk.group else gvk.kind
