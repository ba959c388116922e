"""The models of one entry: its fields, their types, and rules for single fields.

Second step of ``load``: ``yamltext`` gives decoded values, pydantic checks them against these models, and
``validation`` turns a model into a ``Watch`` and pydantic's errors into findings. Fields, defaults and their meaning:
docs/reference/watches.md.
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Annotated, Any, NoReturn, Self, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator, ValidationInfo, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from reconcile_runner.apimachinery.duration import EXPECTED as EXPECTED_DURATION
from reconcile_runner.apimachinery.duration import parse_duration
from reconcile_runner.apimachinery.fieldpath import FieldPath
from reconcile_runner.apimachinery.labels import Operator
from reconcile_runner.cache.event import EventType
from reconcile_runner.watches.findings import describe
from reconcile_runner.watches.lookup import Lookup
from reconcile_runner.watches.watch import NamespaceScope

RULE = "rule"
"""The type of pydantic error whose message is ready to be read."""
UNKNOWN_KEY = "extra_forbidden"
MISSING = "missing"

_DNS_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_GROUP = re.compile(rf"{_DNS_LABEL}(\.{_DNS_LABEL})*")
_VERSION = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_KIND = re.compile(r"[A-Za-z]([-A-Za-z0-9]*[A-Za-z0-9])?")
_LABEL_NAME = r"[A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?"
_LABEL_KEY = re.compile(rf"({_DNS_LABEL}(\.{_DNS_LABEL})*/)?{_LABEL_NAME}")
_LABEL_VALUE = re.compile(rf"({_LABEL_NAME})?")
_JINJA_KEYWORDS = frozenset({"true", "false", "none", "True", "False", "None", "not"})

EXPECTED = {
    "group": "an API group such as example.com, or nothing for the core group",
    "version": "an API version such as v1",
    "kind": "a kind such as Memcached",
    "playbook": "the path of a playbook",
    "role": "the name or path of a role",
    "vars": "a mapping of variable names to values",
    "reconcilePeriod": f"a duration: {EXPECTED_DURATION}",
    "maxRunnerArtifacts": "a whole number, 0 or more",
    "blacklist": "a list of mappings with group, version and kind",
    "finalizer": "a mapping with name, and playbook, role or vars",
    "name": "the name of a finalizer such as example.com/finalizer",
    "failureBackoff": "a mapping with base, cap or both",
    "base": f"a duration above zero: {EXPECTED_DURATION}",
    "cap": f"a duration above zero: {EXPECTED_DURATION}",
    "selector": "a mapping with matchLabels or matchExpressions",
    "matchLabels": "a mapping of label keys to values",
    "matchExpressions": "a list of mappings with key, operator and values",
    "key": "a label key",
    "operator": "In, NotIn, Exists or DoesNotExist",
    "values": "a list of label values",
    "triggers": "a list of mappings with version, kind and match",
    "events": "a list with one or more of created, updated, deleted",
    "on": "a list with one or more of labels, annotations, spec, status, or field paths",
    "match": "a mapping with source and field",
    "source": "a field path in the trigger's kind, such as metadata.name",
    "field": "a field path in the watch's kind, such as spec.name",
    "namespace": "any or same",
}
"""What each field should have been, for messages. Fields that are not here are ``true`` or ``false``."""

EXPECTED_ITEM = {
    "blacklist": "a mapping with group, version and kind",
    "matchLabels": "a label value, in quotes where YAML would read a number or a boolean",
    "matchExpressions": "a mapping with key, operator and values",
    "values": "a label value, in quotes where YAML would read a number or a boolean",
    "triggers": "a mapping with version, kind and match",
    "events": "created, updated or deleted",
    "on": "labels, annotations, spec, status or a field path",
}
"""What each element of a list, or of a mapping with free keys, should have been."""

ON_WORDS = {"labels": "metadata.labels", "annotations": "metadata.annotations", "spec": "spec", "status": "status"}
"""The words of ``on:`` and the field paths that they stand for."""


def _broken(message: str) -> NoReturn:
    raise PydanticCustomError(RULE, "{message}", {"message": message})


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise PydanticCustomError("string_type", "expected text")
    return value


def _matching(pattern: re.Pattern[str], expected: str) -> AfterValidator:
    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            _broken(f"found {describe(value)}, expected {expected}")
        return value

    return AfterValidator(check)


def _seconds(value: object) -> float:
    text = _text(value)
    try:
        return parse_duration(text)
    except ValueError as error:
        _broken(str(error))


def _delay(value: object) -> float:
    seconds = _seconds(value)
    if seconds <= 0:
        _broken(f"found {describe(value)}, expected a duration above zero, such as 1s")
    return seconds


def _field_path(value: object) -> FieldPath:
    text = _text(value)
    if text.startswith(("{", "$")):
        _broken(f"found {describe(text)}, expected a plain field path such as spec.name: it is no expression")
    try:
        return FieldPath(text)
    except ValueError as error:
        _broken(str(error))


def _on_path(value: object) -> FieldPath:
    text = _text(value)
    guess = difflib.get_close_matches(text.lower(), ON_WORDS, n=1, cutoff=0.75)
    if guess and text not in ON_WORDS:
        _broken(f"found {describe(text)}, expected {EXPECTED_ITEM['on']}; did you mean {guess[0]!r}?")
    return _field_path(ON_WORDS.get(text, text))


def _lookup(info: ValidationInfo[Lookup]) -> Lookup:
    if info.context is None:
        raise TypeError("a watches file is validated with its Lookup as context")
    return info.context


def _playbook(value: object, info: ValidationInfo[Lookup]) -> Path:
    name = _text(value)
    try:
        return _lookup(info).playbook(name)
    except ValueError as error:
        _broken(str(error))


def _role(value: object, info: ValidationInfo[Lookup]) -> Path:
    name = _text(value)
    try:
        return _lookup(info).role(name)
    except ValueError as error:
        _broken(str(error))


def _variables(values: dict[str, Any]) -> dict[str, Any]:
    refused = ", ".join(describe(name) for name in values if not is_variable_name(name))
    if refused:
        _broken(f"found {refused}, expected variable names: ASCII letters, digits and '_', not starting with a digit")
    return values


def is_variable_name(name: str) -> bool:
    """Tell whether a template can name this variable.

    Source: ``ansible.utils.vars.validate_variable_name`` of core 2.19.
    """
    return name.isascii() and name.isidentifier() and name not in _JINJA_KEYWORDS


Group: TypeAlias = Annotated[str, _matching(re.compile(rf"({_GROUP.pattern})?"), EXPECTED["group"])]
Version: TypeAlias = Annotated[str, _matching(_VERSION, EXPECTED["version"])]
Kind: TypeAlias = Annotated[str, _matching(_KIND, EXPECTED["kind"])]
LabelKey: TypeAlias = Annotated[str, _matching(_LABEL_KEY, "a label key such as app.kubernetes.io/name")]
FinalizerName: TypeAlias = Annotated[str, _matching(_LABEL_KEY, EXPECTED["name"])]
LabelValue: TypeAlias = Annotated[
    str, _matching(_LABEL_VALUE, "a label value: at most 63 of letters, digits, '-', '_', '.'")
]
FieldPathText: TypeAlias = Annotated[FieldPath, PlainValidator(_field_path)]
EventName: TypeAlias = Annotated[EventType, Field(strict=False)]


class Shape(BaseModel):
    """A mapping of known keys, matched without regard to case.

    An empty value counts as absent. Both as upstream.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, alias_generator=to_camel)

    @model_validator(mode="before")
    @classmethod
    def _spell_keys(cls, data: object) -> object:
        if not isinstance(data, dict):
            return data
        spelling = {name.lower(): name for name in field_names(cls)}
        spelt: dict[str, object] = {}
        for key, value in data.items():
            name = spelling.get(key.lower()) or key
            if name in spelt:
                _broken(f"found the key {name!r} twice, in different case")
            spelt[name] = value
        return {name: value for name, value in spelt.items() if value is not None or name not in spelling.values()}


def field_names(shape: type[BaseModel]) -> list[str]:
    """Return the names of a shape's fields as the file spells them."""
    return [to_camel(name) for name in shape.model_fields]


class KindShape(Shape):
    """A kind by its full name."""

    group: Group = ""
    version: Version
    kind: Kind


class RequirementShape(Shape):
    """One of ``matchExpressions``."""

    key: LabelKey
    operator: Annotated[Operator, Field(strict=False)]
    values: list[LabelValue] = []

    @model_validator(mode="after")
    def _values_fit_the_operator(self) -> Self:
        wanted = self.operator in {Operator.IN, Operator.NOT_IN}
        if wanted and not self.values:
            _broken(f"found no values, expected one or more for operator {self.operator}")
        if self.values and not wanted:
            _broken(f"found values, expected none for operator {self.operator}")
        return self


class SelectorShape(Shape):
    """``selector``: apimachinery's ``LabelSelector``."""

    match_labels: dict[LabelKey, LabelValue] = {}
    match_expressions: list[RequirementShape] = []


class MatchShape(Shape):
    """``match`` of a trigger."""

    source: FieldPathText
    field: FieldPathText


class TriggerShape(KindShape):
    """One of ``triggers``."""

    match: MatchShape
    events: Annotated[list[EventName], Field(min_length=1)] = list(EventType)
    on: Annotated[list[Annotated[FieldPath, PlainValidator(_on_path)]], Field(min_length=1)] | None = None
    namespace: Annotated[NamespaceScope, Field(strict=False)] = NamespaceScope.ANY


class FinalizerShape(Shape):
    """``finalizer``. Validated with a ``Lookup`` as context."""

    name: FinalizerName
    playbook: Annotated[Path, PlainValidator(_playbook)] | None = None
    role: Annotated[Path, PlainValidator(_role)] | None = None
    vars: Annotated[dict[str, Any], AfterValidator(_variables)] = {}

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if not (self.playbook or self.role or self.vars):
            _broken("found a name alone, expected a playbook, a role or vars as well")
        return self


class FailureBackoffShape(Shape):
    """``failureBackoff``: seconds."""

    base: Annotated[float, PlainValidator(_delay)] | None = None
    cap: Annotated[float, PlainValidator(_delay)] | None = None

    @model_validator(mode="after")
    def _is_in_order(self) -> Self:
        if self.base is not None and self.cap is not None and self.base > self.cap:
            _broken("found a base that is longer than the cap, expected the longest delay as cap")
        return self


class EntryShape(KindShape):
    """One entry of the file. Validated with a ``Lookup`` as context."""

    playbook: Annotated[Path, PlainValidator(_playbook)] | None = None
    role: Annotated[Path, PlainValidator(_role)] | None = None
    vars: Annotated[dict[str, Any], AfterValidator(_variables)] = {}
    reconcile_period: Annotated[float, PlainValidator(_seconds)] | None = None
    max_runner_artifacts: Annotated[int, Field(ge=0)] = 0
    manage_status: bool = True
    snake_case_parameters: bool = True
    mark_unsafe: bool = True
    watch_annotations_changes: bool = False
    selector: SelectorShape | None = None
    triggers: list[TriggerShape] = []
    blacklist: list[KindShape] = []
    finalizer: FinalizerShape | None = None
    failure_backoff: FailureBackoffShape | None = None
    upstream_status: bool = False
    watch_dependent_resources: bool = True
    watch_cluster_scoped_resources: bool = False
