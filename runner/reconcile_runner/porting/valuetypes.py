"""Which types the value of an expression can have in ansible-core 2.19 and newer, which keep them."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from typing import Final, Protocol, TypeAlias

from jinja2 import nodes


class ValueType(enum.Enum):
    """A type; the value is what messages call it."""

    BOOLEAN = "a boolean"
    NUMBER = "a number"
    TEXT = "a text"
    LIST = "a list"
    MAPPING = "a mapping"
    NOTHING = "nothing (None)"
    UNKNOWN = "anything"


Types: TypeAlias = frozenset[ValueType]
"""Every type that a value may have. ``UNKNOWN`` is among them where files do not tell."""

ANYTHING: Final[Types] = frozenset({ValueType.UNKNOWN})
_BOOLEAN: Final[Types] = frozenset({ValueType.BOOLEAN})
_NUMBER: Final[Types] = frozenset({ValueType.NUMBER})
_TEXT: Final[Types] = frozenset({ValueType.TEXT})
_LIST: Final[Types] = frozenset({ValueType.LIST})
_MAPPING: Final[Types] = frozenset({ValueType.MAPPING})
_NOTHING: Final[Types] = frozenset({ValueType.NOTHING})


class Values(Protocol):
    """What is known of what an expression names."""

    def of_name(self, name: str) -> Types:
        """Return the types that a variable can have."""
        ...

    def of_member(self, name: str, member: str) -> Types:
        """Return the types that a member of a variable can have."""
        ...

    def of_template_file(self, name: str) -> Types:
        """Return the types of what a template file gives."""
        ...


_ALWAYS: Final[Mapping[type[nodes.Node], Types]] = {
    nodes.TemplateData: _TEXT,
    nodes.Concat: _TEXT,
    nodes.List: _LIST,
    nodes.Tuple: _LIST,
    nodes.Dict: _MAPPING,
    nodes.Not: _BOOLEAN,
    nodes.Compare: _BOOLEAN,
    nodes.Test: _BOOLEAN,
}
"""Expressions whose type is the same whatever they are made of."""


def types_of(expression: nodes.Node, values: Values) -> Types:
    """Return the types that an expression's value can have."""
    always = _ALWAYS.get(type(expression))
    if always is not None:
        return always
    match expression:
        case nodes.Const():
            return type_of_value(expression.value)
        case nodes.Name() | nodes.Getattr() | nodes.Getitem():
            return _of_variable(expression, values)
        case nodes.And() | nodes.Or() | nodes.CondExpr():
            return _of_choice(expression, values)
        case nodes.Filter():
            return _of_filter(expression, values)
        case nodes.Call():
            return _of_call(expression, values)
        case _:
            return _of_arithmetic(expression, values)


def _of_variable(expression: nodes.Expr, values: Values) -> Types:
    match expression:
        case nodes.Name():
            return values.of_name(expression.name)
        case nodes.Getattr(node=nodes.Name() as owner, attr=member):
            return values.of_member(owner.name, member)
        case nodes.Getitem(node=nodes.Name() as owner, arg=nodes.Const(value=str() as member)):
            return values.of_member(owner.name, member)
        case _:
            return ANYTHING


def _of_choice(expression: nodes.Expr, values: Values) -> Types:
    match expression:
        case nodes.And():
            return types_of(expression.left, values) | types_of(expression.right, values)
        case nodes.Or():
            # Nothing is never the result of what is on the left: the right one is taken then.
            return (types_of(expression.left, values) - _NOTHING) | types_of(expression.right, values)
        case nodes.CondExpr(expr2=nodes.Expr() as other):
            return types_of(expression.expr1, values) | types_of(other, values)
        case _:
            return ANYTHING


def type_of_value(value: object) -> Types:
    """Return the type of a value as YAML or Jinja has it."""
    match value:
        case None:
            return _NOTHING
        case bool():
            return _BOOLEAN
        case int() | float():
            return _NUMBER
        case str():
            return _TEXT
        case list():
            return _LIST
        case dict():
            return _MAPPING
        case _:
            return ANYTHING


def _by_name(**types: str) -> dict[str, Types]:
    """Return types by the names that stand, apart from one another, under each type."""
    return {name: frozenset({ValueType[kind]}) for kind, names in types.items() for name in names.split()}


_FILTERS: Final = _by_name(
    BOOLEAN="bool",
    NUMBER="abs count float human_to_bytes int length log pow root round",
    TEXT=(
        "b64decode b64encode basename capitalize checksum comment dirname escape expanduser hash human_readable "
        "indent join lower md5 password_hash path_join quote realpath regex_escape regex_replace relpath replace sha1 "
        "strftime string title to_json to_nice_json to_nice_yaml to_uuid to_yaml trim type_debug upper urlencode "
        "wordwrap"
    ),
    LIST=(
        "batch dict2items difference flatten intersect list map product regex_findall reject rejectattr select "
        "selectattr slice sort split splitext subelements symmetric_difference union unique zip zip_longest"
    ),
    MAPPING="combine items2dict",
) | {"regex_search": _TEXT | _NOTHING}
_METHODS: Final = _by_name(
    BOOLEAN="endswith isalnum isalpha isdigit islower isupper startswith",
    NUMBER="count find index rfind",
    TEXT="capitalize format join lower lstrip replace rstrip strip title upper zfill",
    LIST="items keys rsplit split splitlines values",
)
_BUILTIN: Final = ("ansible.builtin.", "ansible.legacy.")


def short_name(plugin: str) -> str:
    """Return the name of a filter, test or lookup of Ansible's own without its collection."""
    for prefix in _BUILTIN:
        plugin = plugin.removeprefix(prefix)
    return plugin


def _of_filter(found: nodes.Filter, values: Values) -> Types:
    name = short_name(found.name)
    if name in _FILTERS:
        return _FILTERS[name]
    if name in {"default", "d"} and found.node is not None:
        return types_of(found.node, values) | _of_default(found, values)
    if name == "ternary":
        return _union((types_of(argument, values) for argument in found.args), len(found.args) > 1)
    return ANYTHING


def _of_default(found: nodes.Filter, values: Values) -> Types:
    if not found.args:
        return ANYTHING if found.kwargs else _TEXT
    # `omit` is taken away before anything looks at it.
    given = found.args[0]
    return ANYTHING if isinstance(given, nodes.Name) and given.name == "omit" else types_of(given, values)


def _of_call(found: nodes.Call, values: Values) -> Types:
    match found.node:
        case nodes.Name(name="query" | "q"):
            return _LIST
        case nodes.Name(name="lookup"):
            return _of_lookup(found, values)
        case nodes.Getattr(attr=method):
            return _METHODS.get(method, ANYTHING)
        case _:
            return ANYTHING


def _of_lookup(found: nodes.Call, values: Values) -> Types:
    match found.args:
        case [nodes.Const(value=str() as plugin), nodes.Const(value=str() as name)] if (
            short_name(plugin) == "template" and not found.kwargs
        ):
            return values.of_template_file(name)
        case [nodes.Const(value=str() as plugin), *_] if short_name(plugin) in {"env", "file"}:
            return _TEXT if len(found.args) > 1 and not found.kwargs else ANYTHING
        case _:
            return ANYTHING


def _of_arithmetic(found: nodes.Node, values: Values) -> Types:
    match found:
        case nodes.UnaryExpr():
            return types_of(found.node, values) & _NUMBER or ANYTHING
        case nodes.BinExpr():
            left, right = types_of(found.left, values), types_of(found.right, values)
            if isinstance(found, nodes.Mod) and left == _TEXT:
                return _TEXT
            return left if left == right and len(left) == 1 and left <= _NUMBER | _TEXT | _LIST else ANYTHING
        case _:
            return ANYTHING


def _union(types: Iterable[Types], is_complete: bool) -> Types:
    return frozenset[ValueType]().union(*types) if is_complete else ANYTHING
