"""Extra vars: a role's variables, which Ansible reads as data only.

Names and precedence are upstream's (``makeParameters``). Safety is not, because an object's author is not the
operator's author:

- Ansible reads every string in a file of extra vars as a template. Strings of the object are therefore marked with
  ``__ansible_unsafe``, unless the watch has ``markUnsafe: false``.
- Ansible's JSON decoder fails on a mapping with one of its own special keys. Ansible then reads the file as YAML, which
  has no marks: every string would be a template. Such an object is refused. If the decoder fails for another reason,
  the second reading fails, too, and the run with it: the text begins with a tab, which JSON allows and YAML does not.
- Extra vars win over everything. Fields whose names would change Ansible's own behaviour are not variables; roles find
  them in ``_<group>_<kind>_spec``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import orjson

from reconcile_runner.apimachinery.objects import GroupVersionKind, KubeObject, key_of
from reconcile_runner.apimachinery.rawjson import RawJson
from reconcile_runner.compat import META_VARIABLE, is_dropped_variable
from reconcile_runner.errors import RunnerError
from reconcile_runner.reconciler.snakecase import keys_to_snake_case
from reconcile_runner.watches.watch import Watch

UNSAFE_KEY = "__ansible_unsafe"
MARKER_KEYS = frozenset({UNSAFE_KEY, "__ansible_vault", "__ansible_type"})
"""The keys that Ansible's JSON decoder replaces by something else (ansible-core: ``_json/_profiles/_legacy.py``)."""

MAX_DEPTH = 100
"""Levels that an object may be nested; Ansible's own decoder fails somewhere above 200."""

_NOT_YAML = b"\t"
_PLAIN_NAME = re.compile(r"[A-Za-z0-9.:_-]*")


class ExtraVarsError(RunnerError):
    """The object cannot be given to a role. The message names the field, and why."""


@dataclass(frozen=True, slots=True)
class ExtraVars:
    """The text of ``env/extravars``, and warnings for the log, one sentence each."""

    data: bytes
    warnings: tuple[str, ...] = ()


def make_extra_vars(watch: Watch, obj: KubeObject) -> ExtraVars:
    """Return the variables of a run for an object.

    Later ones win: fields of ``spec``, the object's name and namespace, the object, the watch's vars.

    Raises ``ExtraVarsError`` where the object holds a marker key, or is nested deeper than ``MAX_DEPTH``.
    """
    _refuse_markers(obj, "", 0)
    spec = obj.get("spec")
    spec = spec if isinstance(spec, dict) else {}
    fields, warnings = _fields(spec, watch.snake_case_parameters)
    # A key may be special only after its conversion.
    _refuse_markers(fields, "spec, in snake case: ", 0)
    variable = object_variable(watch.gvk)
    variables = {**fields, META_VARIABLE: _meta(obj), variable: obj, f"{variable}_spec": spec}
    if watch.mark_unsafe:
        variables = {name: value if name == META_VARIABLE else _marked(value) for name, value in variables.items()}
    return ExtraVars(_encode({**variables, **watch.vars}), tuple(warnings))


def object_variable(gvk: GroupVersionKind) -> str:
    """Return the name of the variable that holds the whole object.

    It is ``_<group>_<kind>``, in lower case, with ``_`` for ``.`` and ``-``.
    """
    return f"_{gvk.group}_{gvk.kind.lower()}".replace(".", "_").replace("-", "_")


def _fields(spec: dict[str, Any], snake_case: bool) -> tuple[dict[str, Any], list[str]]:
    named: dict[str, Any] = keys_to_snake_case(spec) if snake_case else dict(spec)
    warnings = [
        f"spec: the field that would be the variable {name!r} is not one, because Ansible itself uses that name;"
        " roles find it in the variable that ends with '_spec'"
        for name in sorted(named)
        if is_dropped_variable(name)
    ]
    return {name: value for name, value in named.items() if not is_dropped_variable(name)}, warnings


def _meta(obj: KubeObject) -> dict[str, Any]:
    """Return name and namespace, unmarked as upstream's.

    The API server allows no template in them. For a few kinds (RBAC's roles) it allows anything, so a value with other
    characters is marked.
    """
    key = key_of(obj)
    return {
        field: value if _PLAIN_NAME.fullmatch(value) else {UNSAFE_KEY: value}
        for field, value in (("name", key.name), ("namespace", key.namespace))
    }


def _refuse_markers(value: Any, path: str, depth: int) -> None:
    if depth > MAX_DEPTH or isinstance(value, RawJson):
        raise ExtraVarsError(f"{path[:200]}: nested deeper than {MAX_DEPTH}, which no role can be given")
    if isinstance(value, dict):
        for key, item in value.items():
            if key in MARKER_KEYS:
                raise ExtraVarsError(f"{path}{key}: Ansible would not read this key as data, so nothing was run")
            _refuse_markers(item, f"{path}{key}.", depth + 1)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _refuse_markers(item, f"{path.removesuffix('.')}[{index}].", depth + 1)


def _marked(value: Any) -> Any:
    if isinstance(value, str):
        return {UNSAFE_KEY: value}
    if isinstance(value, dict):
        return {key: _marked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_marked(item) for item in value]
    return value


def _encode(variables: dict[str, Any]) -> bytes:
    try:
        return _NOT_YAML + orjson.dumps(variables, option=orjson.OPT_NON_STR_KEYS)
    except orjson.JSONEncodeError as error:
        raise ExtraVarsError(f"the variables cannot be written as JSON: {error}") from error
