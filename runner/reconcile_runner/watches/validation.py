"""One entry of a watches file: its findings, and its ``Watch``.

Third step of ``load``. What concerns several fields, or several entries, is checked here; what one field alone can
break is in ``schema``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from reconcile_runner.apimachinery.fieldpath import FieldPath
from reconcile_runner.apimachinery.labels import EVERYTHING, LabelSelector, Operator, Requirement
from reconcile_runner.apimachinery.objects import GroupVersionKind
from reconcile_runner.cache.event import EventType
from reconcile_runner.watches.findings import Finding, FindingSeverity, describe
from reconcile_runner.watches.lookup import Lookup
from reconcile_runner.watches.schema import (
    EXPECTED,
    EXPECTED_ITEM,
    MISSING,
    RULE,
    UNKNOWN_KEY,
    EntryShape,
    FailureBackoffShape,
    FinalizerShape,
    KindShape,
    MatchShape,
    RequirementShape,
    SelectorShape,
    Shape,
    TriggerShape,
    field_names,
)
from reconcile_runner.watches.watch import Finalizer, Match, Trigger, Watch
from reconcile_runner.watches.yamltext import UNDEFINED_REFERENCE, Document

DEFAULT_RUNNER_ARTIFACTS = 20

_Shape = TypeVar("_Shape", bound=Shape)

_ELSEWHERE = {
    "apiversion": "write group and version instead",
    "maxworkers": "set the variable MAX_CONCURRENT_RECONCILES_<KIND>_<GROUP> or the flag --max-concurrent-reconciles",
    "maxconcurrentreconciles": "set the variable MAX_CONCURRENT_RECONCILES_<KIND>_<GROUP> or the flag of that name",
    "ansibleverbosity": "set the variable ANSIBLE_VERBOSITY_<KIND>_<GROUP> or the flag --ansible-verbosity",
}
"""Keys that people write because they once existed, or because Kubernetes has them, and what to do instead."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One element of the list, not yet validated. ``number`` is 1-based."""

    file: Path
    document: Document
    number: int

    @property
    def value(self) -> Any:
        """Return the decoded value, whatever its type."""
        return self.document.value[self.number - 1]

    def field(self, name: str) -> object:
        """Return the value of a top-level field, its key matched without regard to case.

        None where absent.
        """
        if not isinstance(self.value, dict):
            return None
        return next((value for key, value in self.value.items() if key.lower() == name.lower()), None)

    @property
    def gvk(self) -> GroupVersionKind | None:
        """Return the kind that the entry names; None unless all its parts are texts."""
        group, version, kind = self.field("group") or "", self.field("version"), self.field("kind")
        if isinstance(group, str) and isinstance(version, str) and isinstance(kind, str):
            return GroupVersionKind(group, version, kind)
        return None

    def finding(self, severity: FindingSeverity, message: str, path: tuple[str | int, ...] = ()) -> Finding:
        """Return a finding about the value at ``path`` inside this entry."""
        kind = self.field("kind")
        label = f"{self.gvk.api_version} {self.gvk.kind}" if self.gvk else kind if isinstance(kind, str) else ""
        line = self.document.line((self.number - 1, *path))
        return Finding(severity, self.file, message, line, self.number, label, _spelt(path))


@dataclass(frozen=True, slots=True)
class Doubt:
    """What is to be said of a kind or path. The message begins with what was found, and ends with what was expected."""

    severity: FindingSeverity
    message: str


class KindChecks(Protocol):
    """What is known of kinds without a cluster."""

    def doubt_of_kind(self, gvk: GroupVersionKind) -> Doubt | None:
        """Say what is wrong with a kind; None: nothing, as far as is known."""

    def doubt_of_path(self, gvk: GroupVersionKind, path: FieldPath) -> Doubt | None:
        """Say what is wrong with a path in objects of a kind; None: nothing, as far as is known."""


def check(
    entry: Entry, lookup: Lookup, tolerated: FindingSeverity, kinds: KindChecks | None = None
) -> tuple[Watch | None, list[Finding]]:
    """Return the entry's watch (None if it has an error) and all its findings.

    ``tolerated`` is the severity of what upstream tolerates; with ``kinds`` triggers are checked against them.
    """
    if not isinstance(entry.value, dict):
        message = f"found {describe(entry.value)}, expected a mapping with version, kind and role or playbook"
        return None, [entry.finding(FindingSeverity.ERROR, message)]
    value, findings = _choose_content(entry, entry.value)
    shape, broken = _shape(entry, value, lookup, tolerated)
    findings += broken
    findings += _undefined_references(entry)
    findings += _warnings(entry)
    findings += _unqualified_finalizer(entry, tolerated)
    if kinds is not None:
        findings += _doubts_of_triggers(entry, kinds)
    if shape is None or any(finding.severity is FindingSeverity.ERROR for finding in findings):
        return None, findings
    return _watch(shape), findings


def _choose_content(entry: Entry, value: dict[str, Any]) -> tuple[dict[str, Any], list[Finding]]:
    """Leave one of ``playbook`` and ``role``, in the entry and in its finalizer.

    The entry needs one of them.
    """
    chosen, findings = _playbook_first(entry, value, ())
    if not any(key.lower() in {"playbook", "role"} for key in chosen):
        findings.append(entry.finding(FindingSeverity.ERROR, "found neither playbook nor role, expected one of them"))
    for key, finalizer in chosen.items():
        if key.lower() == "finalizer" and isinstance(finalizer, dict):
            chosen[key], found = _playbook_first(entry, finalizer, ("finalizer",))
            findings += found
    return chosen, findings


def _playbook_first(entry: Entry, value: dict[str, Any], path: tuple[str, ...]) -> tuple[dict[str, Any], list[Finding]]:
    """Drop an empty ``playbook`` or ``role``, and the role where there are both.

    Upstream does the same.
    """
    contents = {key.lower(): content for key, content in value.items() if key.lower() in {"playbook", "role"}}
    dropped = {name for name, content in contents.items() if content is None or content == ""}
    findings = []
    if len(contents) - len(dropped) > 1:
        dropped.add("role")
        message = "is ignored, because playbook is set as well"
        findings.append(entry.finding(FindingSeverity.WARNING, message, (*path, "role")))
    return {key: content for key, content in value.items() if key.lower() not in dropped}, findings


def _shape(
    entry: Entry, value: dict[str, Any], lookup: Lookup, tolerated: FindingSeverity
) -> tuple[EntryShape | None, list[Finding]]:
    try:
        return EntryShape.model_validate(value, context=lookup), []
    except ValidationError as invalid:
        errors = invalid.errors(include_url=False)
    findings = [
        entry.finding(
            tolerated if error["type"] == UNKNOWN_KEY else FindingSeverity.ERROR, _message(error), error["loc"]
        )
        for error in errors
    ]
    if any(error["type"] != UNKNOWN_KEY for error in errors):
        return None, findings
    return EntryShape.model_validate(value, context=lookup, extra="ignore"), findings


def _message(error: ErrorDetails) -> str:
    if error["type"] == RULE:
        return error["msg"]
    if error["type"] == UNKNOWN_KEY:
        return f"is not a known key{_hint(error['loc'])}"
    expected = _expected(error["loc"])
    if error["type"] == MISSING:
        return f"is missing, expected {expected}"
    return f"found {describe(error['input'])}, expected {expected}"


def _expected(path: tuple[str | int, ...]) -> str:
    match path:
        case (*_, "matchLabels" as name, str()) | (*_, str() as name, int()):
            return EXPECTED_ITEM[name]
        case (*_, str() as name):
            return EXPECTED.get(name, "true or false")
        case _:
            return "a mapping"


def _hint(path: tuple[str | int, ...]) -> str:
    key = str(path[-1])
    elsewhere = _ELSEWHERE.get(key.lower())
    if elsewhere is not None:
        return f"; {elsewhere}"
    shape = _shape_at(path[:-1])
    spelling = {name.lower(): name for name in field_names(shape)}
    guess = difflib.get_close_matches(key.lower(), spelling, n=1)
    return f"; did you mean {spelling[guess[0]]}?" if guess else f"; expected one of {', '.join(spelling.values())}"


def _shape_at(path: tuple[str | int, ...]) -> type[Shape]:
    """Return the model of the mapping at ``path``."""
    match path:
        case ("triggers", int()):
            return TriggerShape
        case ("triggers", int(), "match"):
            return MatchShape
        case ("selector",):
            return SelectorShape
        case ("finalizer",):
            return FinalizerShape
        case ("failureBackoff",):
            return FailureBackoffShape
        case ("selector", "matchExpressions", int()):
            return RequirementShape
        case ("blacklist", int()):
            return KindShape
        case _:
            return EntryShape


def _undefined_references(entry: Entry) -> list[Finding]:
    return [
        entry.finding(FindingSeverity.WARNING, f"${{{name}}} stays as it is: no such environment variable is set", path)
        for path, text in _texts(entry.value, ())
        for name in UNDEFINED_REFERENCE.findall(text)
    ]


def _texts(value: object, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    match value:
        case str():
            yield path, value
        case dict():
            for key, child in value.items():
                yield from _texts(child, (*path, key))
        case list():
            for index, child in enumerate(value):
                yield from _texts(child, (*path, index))


def _warnings(entry: Entry) -> Iterator[Finding]:
    """Yield what is odd in the fields that can be read, whatever is wrong with others."""
    kind = _read(KindShape, {name: entry.field(name) for name in ("group", "version", "kind")})
    manages_status = entry.field("manageStatus") in (True, None)
    if entry.field("upstreamStatus") is True and entry.field("manageStatus") is False:
        yield entry.finding(
            FindingSeverity.WARNING, "has no effect, because manageStatus is false", ("upstreamStatus",)
        )
    if manages_status and kind is not None and _is_built_in(kind.group):
        message = "conditions would be written into the status of a built-in kind; say false unless you mean it"
        yield entry.finding(FindingSeverity.WARNING, message, ("manageStatus",))
    triggers = entry.field("triggers")
    for index, value in enumerate(triggers if isinstance(triggers, list) else ()):
        trigger = _read(TriggerShape, value)
        if trigger is None or trigger.on is None:
            continue
        path = ("triggers", index, "on")
        if EventType.UPDATED not in trigger.events:
            yield entry.finding(FindingSeverity.WARNING, "has no effect, because events leaves out updated", path)
        is_of_own_kind = kind is not None and _gvk(trigger) == _gvk(kind)
        if manages_status and is_of_own_kind and any(on.text.startswith("status") for on in trigger.on):
            message = "each status that a run writes starts runs again: this trigger is on the watch's own kind"
            yield entry.finding(FindingSeverity.WARNING, message, path)


def _unqualified_finalizer(entry: Entry, tolerated: FindingSeverity) -> Iterator[Finding]:
    finalizer = _read(FinalizerShape, {"name": _finalizer_name(entry), "vars": {"any": True}})
    if finalizer is not None and "/" not in finalizer.name:
        message = (
            f"found {describe(finalizer.name)}, expected a name with a domain, such as example.com/{finalizer.name}: "
            "another controller may use the same name"
        )
        yield entry.finding(tolerated, message, ("finalizer", "name"))


def _doubts_of_triggers(entry: Entry, kinds: KindChecks) -> Iterator[Finding]:
    """Yield what is wrong with the kinds and paths of triggers that can be read."""
    triggers = entry.field("triggers")
    for index, value in enumerate(triggers if isinstance(triggers, list) else ()):
        trigger = _read(TriggerShape, value)
        if trigger is None:
            continue
        of_kind = kinds.doubt_of_kind(_gvk(trigger))
        doubts = [(of_kind, ("kind",))] if of_kind else _doubts_of_paths(entry, trigger, kinds)
        for doubt, path in doubts:
            if doubt is not None:
                yield entry.finding(doubt.severity, doubt.message, ("triggers", index, *path))


def _doubts_of_paths(
    entry: Entry, trigger: TriggerShape, kinds: KindChecks
) -> list[tuple[Doubt | None, tuple[str | int, ...]]]:
    gvk = _gvk(trigger)
    return [
        (kinds.doubt_of_path(gvk, trigger.match.source), ("match", "source")),
        (kinds.doubt_of_path(entry.gvk, trigger.match.field) if entry.gvk else None, ("match", "field")),
        *((kinds.doubt_of_path(gvk, path), ("on", number)) for number, path in enumerate(trigger.on or ())),
    ]


def _finalizer_name(entry: Entry) -> object:
    finalizer = entry.field("finalizer")
    fields = finalizer.items() if isinstance(finalizer, dict) else ()
    return next((value for key, value in fields if key.lower() == "name"), None)


def _read(shape: type[_Shape], value: object) -> _Shape | None:
    """Return a mapping's shape without its unknown keys.

    None where something else is wrong with it.
    """
    try:
        return shape.model_validate(value, extra="ignore")
    except ValidationError:
        return None


def _is_built_in(group: str) -> bool:
    return "." not in group or group.endswith(".k8s.io")


def _watch(shape: EntryShape) -> Watch:
    backoff = shape.failure_backoff or FailureBackoffShape()
    return Watch(
        gvk=_gvk(shape),
        playbook=shape.playbook,
        role=shape.role,
        vars=shape.vars,
        # 0 is upstream's way of saying nothing, for both.
        reconcile_period=shape.reconcile_period or None,
        max_runner_artifacts=shape.max_runner_artifacts or DEFAULT_RUNNER_ARTIFACTS,
        manage_status=shape.manage_status,
        upstream_status=shape.upstream_status,
        snake_case_parameters=shape.snake_case_parameters,
        mark_unsafe=shape.mark_unsafe,
        watch_annotations_changes=shape.watch_annotations_changes,
        selector=_selector(shape.selector) if shape.selector is not None else EVERYTHING,
        finalizer=_finalizer(shape.finalizer) if shape.finalizer is not None else None,
        failure_backoff_base=backoff.base,
        failure_backoff_cap=backoff.cap,
        watch_dependent_resources=shape.watch_dependent_resources,
        watch_cluster_scoped_resources=shape.watch_cluster_scoped_resources,
        blacklist=frozenset(_gvk(kind) for kind in shape.blacklist),
        triggers=tuple(_trigger(trigger) for trigger in shape.triggers),
    )


def _finalizer(shape: FinalizerShape) -> Finalizer:
    return Finalizer(shape.name, shape.playbook, shape.role, shape.vars)


def _gvk(shape: KindShape) -> GroupVersionKind:
    return GroupVersionKind(shape.group, shape.version, shape.kind)


def _selector(shape: SelectorShape) -> LabelSelector:
    labels = [Requirement(key, Operator.IN, frozenset({value})) for key, value in shape.match_labels.items()]
    expressions = [Requirement(it.key, it.operator, frozenset(it.values)) for it in shape.match_expressions]
    return LabelSelector((*labels, *expressions))


def _trigger(shape: TriggerShape) -> Trigger:
    return Trigger(
        gvk=_gvk(shape),
        match=Match(shape.match.source, shape.match.field),
        events=frozenset(shape.events),
        on=tuple(shape.on) if shape.on is not None else None,
        namespace=shape.namespace,
    )


def _spelt(path: tuple[str | int, ...]) -> str:
    """Return a path as people write it: ``triggers[0].match.source``."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif text:
            text += f".{step}"
        else:
            text = step
    return text.replace(".[key]", "")
