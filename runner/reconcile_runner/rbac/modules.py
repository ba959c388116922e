"""The requests of each module to the API server.

Read in the source of kubernetes.core 6.6.0 and of this project's own two modules.

``uses`` turns one call into what it needs; ``needs`` adds what follows for the operator. Where a task leaves open which
of its states it means, all of them count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from reconcile_runner.apimachinery.objects import GroupVersionKind
from reconcile_runner.client.discovery import Resource
from reconcile_runner.content.tasks import Call
from reconcile_runner.content.unknowns import Unknowns
from reconcile_runner.content.variables import is_template
from reconcile_runner.rbac.definitions import DescribedObject, UnknownKindError, described_objects
from reconcile_runner.rbac.kinds import KindTable
from reconcile_runner.rbac.rules import Need

POD: Final = GroupVersionKind("", "v1", "Pod")
NODE: Final = GroupVersionKind("", "v1", "Node")
EVENT: Final = GroupVersionKind("", "v1", "Event")
_HISTORY: Final = {"Deployment": "ReplicaSet", "DaemonSet": "ControllerRevision"}
_RBAC_GROUP: Final = "rbac.authorization.k8s.io"
_PROGRAMS: Final = frozenset({"helm", "kubectl", "oc"})
_TRUE: Final = frozenset({"true", "yes", "on", "1"})


@dataclass(frozen=True, slots=True)
class Use:
    """Verbs of a call on a resource.

    - ``name``: empty: any object
    - ``is_cluster_wide``: in all namespaces
    - ``is_creation``: the run creates such objects, which are then dependents
    - ``blocked_owners``: kinds of owners that wait for the deletion of these objects; a kind without a name is the one
      that the run is for
    """

    resource: Resource
    verbs: frozenset[str]
    subresource: str = ""
    name: str = ""
    is_cluster_wide: bool = False
    is_creation: bool = False
    blocked_owners: tuple[GroupVersionKind, ...] = ()

    @property
    def need(self) -> Need:
        """Return what it needs."""
        plural = f"{self.resource.plural}/{self.subresource}" if self.subresource else self.resource.plural
        cluster_wide = self.is_cluster_wide or not self.resource.namespaced
        return Need(self.resource.gvk.group, plural, self.verbs, self.name, cluster_wide)


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads one call."""

    call: Call
    kinds: KindTable
    unknowns: Unknowns

    def objects(self, default_kind: str = "") -> Iterator[tuple[DescribedObject, Resource]]:
        for obj in described_objects(self.call, default_kind):
            yield obj, self.kinds.find_as_client(obj.gvk, self.call.place)

    def find(self, gvk: GroupVersionKind) -> Resource:
        return self.kinds.find_as_client(gvk, self.call.place)

    def is_on(self, option: str) -> bool:
        """Tell whether an option is on, or may be."""
        value = str(self.call.args.get(option, "")).lower()
        return value in _TRUE or is_template(value)

    def state(self, default: str) -> set[str]:
        """Return the states that a task may mean; empty: any."""
        value = str(self.call.args.get("state", default))
        return set() if is_template(value) else {value}

    def add_unknown(self, message: str) -> None:
        self.unknowns.add(self.call.place, message)


def uses(call: Call, kinds: KindTable, unknowns: Unknowns) -> list[Use]:
    """Return what a call needs; what files do not tell goes to ``unknowns``."""
    read = _READERS.get(call.module)
    if read is None:
        return []
    if call.args.get("impersonate_user"):
        unknowns.add(call.place, f"{call.module}: impersonates a user; add the right to impersonate by hand")
    try:
        return list(read(_Reader(call, kinds, unknowns)))
    except UnknownKindError as error:
        unknowns.add(call.place, f"{call.module}: {error}; add by hand what this task needs")
        return []


def _verbs(*verbs: str) -> frozenset[str]:
    return frozenset(verbs)


def _k8s(reader: _Reader) -> Iterator[Use]:
    states = reader.state("present")
    for obj, resource in reader.objects():
        yield from _of_object(reader, obj, resource, states)


def _k8s_service(reader: _Reader) -> Iterator[Use]:
    for obj, _ in reader.objects("Service"):
        service = reader.find(GroupVersionKind("", "v1", "Service"))
        yield from _of_object(reader, obj, service, reader.state("present"))


def _of_object(reader: _Reader, obj: DescribedObject, resource: Resource, states: set[str]) -> Iterator[Use]:
    if resource.gvk.group == _RBAC_GROUP and states != {"absent"}:
        reader.add_unknown(
            f"makes a {resource.gvk.kind}: the API server refuses it unless the operator has each right in it itself, "
            "or the verbs escalate (roles) or bind (bindings); add them by hand"
        )
    if not states or "absent" in states:
        yield from _of_deletion(obj, resource)
    if not states or "patched" in states:
        yield Use(resource, _verbs("get", "patch"), name=obj.literal_name)
    if states and "present" not in states:
        return
    creation = Use(resource, _verbs("create"), is_creation=True, blocked_owners=obj.blocked_owners)
    if obj.is_generated and not obj.name:
        yield creation
        yield from [Use(resource, _verbs("get"))] if reader.is_on("wait") else []
        return
    verbs = {"get", "patch"} | ({"update"} if reader.is_on("force") and not reader.is_on("apply") else set())
    yield creation
    yield Use(resource, frozenset(verbs), name=obj.literal_name)
    if obj.may_be_unnamed and reader.call.args.get("label_selectors"):
        yield Use(resource, _verbs("list"), is_cluster_wide=not obj.namespace)


def _of_deletion(obj: DescribedObject, resource: Resource) -> Iterator[Use]:
    yield Use(resource, _verbs("get", "delete"), name=obj.literal_name)
    if obj.may_be_unnamed:
        yield Use(resource, _verbs("list"), is_cluster_wide=not obj.namespace)


def _k8s_info(reader: _Reader) -> Iterator[Use]:
    for obj, resource in reader.objects():
        if obj.name:
            yield Use(resource, _verbs("get"), name=obj.literal_name)
        if obj.may_be_unnamed:
            yield Use(resource, _verbs("list"), is_cluster_wide=not obj.namespace)
            # What is waited for is read one by one.
            yield from [Use(resource, _verbs("get"), is_cluster_wide=not obj.namespace)] if reader.is_on("wait") else []


def _k8s_scale(reader: _Reader) -> Iterator[Use]:
    for obj, resource in reader.objects():
        yield Use(resource, _verbs("get"), name=obj.literal_name)
        if obj.may_be_unnamed:
            yield Use(resource, _verbs("list"))
        subresource = "" if resource.gvk.kind == "Job" else "scale"
        yield Use(resource, _verbs("patch"), subresource, obj.literal_name)


def _k8s_json_patch(reader: _Reader) -> Iterator[Use]:
    for obj, resource in reader.objects():
        yield Use(resource, _verbs("get", "patch"), name=obj.literal_name)


def _k8s_exec(reader: _Reader) -> Iterator[Use]:
    pods, name = reader.find(POD), str(reader.call.args.get("pod") or "")
    name = "" if is_template(name) else name
    yield Use(pods, _verbs("get"), name=name)
    # A WebSocket begins with a GET; from Kubernetes 1.35 on it needs create as well.
    yield Use(pods, _verbs("get", "create"), "exec", name)


def _k8s_log(reader: _Reader) -> Iterator[Use]:
    pods = reader.find(POD)
    for obj, resource in reader.objects("Pod"):
        is_pod = resource == pods
        yield Use(pods, _verbs("get"), "log", obj.literal_name if is_pod else "")
        if not is_pod:
            yield Use(resource, _verbs("get"), name=obj.literal_name)
        elif reader.is_on("all_containers"):
            yield Use(pods, _verbs("get"), name=obj.literal_name)
        if not is_pod or obj.may_be_unnamed:
            yield Use(pods, _verbs("list"))


def _k8s_rollback(reader: _Reader) -> Iterator[Use]:
    for obj, resource in reader.objects():
        history = _HISTORY.get(resource.gvk.kind)
        if history is None:
            raise UnknownKindError(f"found kind {resource.gvk.kind!r}, expected Deployment or DaemonSet")
        yield Use(resource, _verbs("get", "patch"), name=obj.literal_name)
        yield Use(reader.find(GroupVersionKind("apps", "v1", history)), _verbs("list"))


def _k8s_drain(reader: _Reader) -> Iterator[Use]:
    name = str(reader.call.args.get("name") or "")
    yield Use(reader.find(NODE), _verbs("get", "patch"), name="" if is_template(name) else name)
    states = reader.state("drain")
    if states and "drain" not in states:
        return
    pods, options = reader.find(POD), reader.call.args.get("delete_options")
    yield Use(pods, _verbs("get", "list"), is_cluster_wide=True)
    deletes = str(options.get("disable_eviction", "")).lower() if isinstance(options, dict) else ""
    if deletes in _TRUE or is_template(deletes):
        yield Use(pods, _verbs("delete"), is_cluster_wide=True)
    if deletes not in _TRUE:
        yield Use(pods, _verbs("create"), "eviction", is_cluster_wide=True)


def _k8s_taint(reader: _Reader) -> Iterator[Use]:
    name = str(reader.call.args.get("name") or "")
    yield Use(reader.find(NODE), _verbs("get", "patch"), name="" if is_template(name) else name)


def _k8s_status(reader: _Reader) -> Iterator[Use]:
    for obj, resource in reader.objects():
        yield Use(resource, _verbs("get"), name=obj.literal_name)
        yield Use(resource, _verbs("patch"), "status", obj.literal_name)


def _k8s_event(reader: _Reader) -> Iterator[Use]:
    events, involved = reader.find(EVENT), reader.call.args.get("involvedObject")
    states = reader.state("present")
    if not states or "absent" in states:
        yield Use(events, _verbs("get", "delete"))
    if states == {"absent"}:
        return
    yield Use(events, _verbs("create", "get", "patch"))
    if isinstance(involved, dict) and not involved.get("uid"):
        kind, version = str(involved.get("kind", "")), str(involved.get("apiVersion") or "v1")
        # Without it the Event only lacks the uid, so one that cannot be known is no reason to say anything.
        if kind and not is_template(kind) and not is_template(version):
            yield Use(reader.find(GroupVersionKind.of({"apiVersion": version, "kind": kind})), _verbs("get"))


def _helm(reader: _Reader) -> Iterator[Use]:
    reader.add_unknown(
        f"{reader.call.module}: a release may hold objects of any kind, and is itself kept in Secrets; add by hand "
        "what it needs"
    )
    yield from ()


def _command(reader: _Reader) -> Iterator[Use]:
    text = " ".join(str(value) for value in reader.call.args.values())
    for program in sorted(_PROGRAMS & {word.rpartition("/")[2] for word in text.replace(";", " ").split()}):
        reader.add_unknown(f"runs {program}: add by hand what that needs")
    yield from ()


_READERS: Final[dict[str, Callable[[_Reader], Iterator[Use]]]] = {
    "command": _command,
    "helm": _helm,
    "helm_info": _helm,
    "k8s": _k8s,
    "k8s_cp": _k8s_exec,
    "k8s_drain": _k8s_drain,
    "k8s_event": _k8s_event,
    "k8s_exec": _k8s_exec,
    "k8s_info": _k8s_info,
    "k8s_json_patch": _k8s_json_patch,
    "k8s_log": _k8s_log,
    "k8s_rollback": _k8s_rollback,
    "k8s_scale": _k8s_scale,
    "k8s_service": _k8s_service,
    "k8s_status": _k8s_status,
    "k8s_taint": _k8s_taint,
    "raw": _command,
    "script": _command,
    "shell": _command,
}
"""By module. ``k8s_cluster_info`` is not among them: what it reads, everybody may."""
