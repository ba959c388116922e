"""The log lines of the runner, read from its code, as the tables of docs/reference/logs.md: `make log-lines`.

The table holds one sentence for each line, written by people. They stay in the page, and are found again by the text of
the line. A line without a sentence is an error, as is a call whose text cannot be read from the code.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tools.environment import ROOT, tell

PACKAGE: Final = ROOT / "runner" / "reconcile_runner"
PAGE: Final = ROOT / "docs" / "reference" / "logs.md"

BEGIN: Final = "<!-- log lines: made from the code by `make log-lines`; write only in the last column -->"
END: Final = "<!-- end of log lines -->"
MISSING: Final = "(to be written)"

_LEVELS: Final = {
    "debug": "debug",
    "info": "info",
    "warning": "warn",
    "error": "error",
    "exception": "error",
    "critical": "panic",
}
_LOGGER = re.compile(r"(_log|(logs\.)?get_logger\(.*\)|self\._log)")
_ROW = re.compile(r"^\| `(?!msg`)(?P<text>[^`]+)` \| .* \| (?P<meaning>[^|]*) \|$", re.MULTILINE)


class UnreadableCallError(Exception):
    """A call logs a text that is not written in its module."""


@dataclass(frozen=True, slots=True, order=True)
class LogLine:
    """A text that one logger logs, with the levels and keys that it may have."""

    logger: str
    text: str
    levels: tuple[str, ...]
    keys: tuple[str, ...]


def main() -> int:
    """Write the tables of the page. Exit code 1 if a line has no sentence."""
    page = PAGE.read_text(encoding="utf-8")
    lines = lines_of(PACKAGE)
    written = meanings(page)
    for text in sorted(written.keys() - {line.text for line in lines}):
        tell(f"no longer logged: {text}: {written[text]}")
    PAGE.write_text(render(page, lines), encoding="utf-8")
    lacking = [line for line in lines if written.get(line.text, MISSING) == MISSING]
    for line in lacking:
        tell(f"without a sentence: {line.logger}: {line.text}")
    return 1 if lacking else 0


def lines_of(package: Path) -> list[LogLine]:
    """Return every log line of a package's modules, sorted by logger and text."""
    found: dict[tuple[str, str], LogLine] = {}
    for path in sorted(package.rglob("*.py")):
        place = path.relative_to(package).with_suffix("")
        if place.parts[0] == "collections":
            continue
        name = ".".join(part for part in (package.name, *place.parts) if part != "__init__")
        for line in _Module(name, ast.parse(path.read_text(encoding="utf-8"))).lines():
            key = (line.logger, line.text)
            found[key] = _merged(found[key], line) if key in found else line
    return sorted(found.values())


def _merged(one: LogLine, other: LogLine) -> LogLine:
    """Return one line for two modules of a package that log the same text."""
    levels = sorted({*one.levels, *other.levels})
    return LogLine(one.logger, one.text, tuple(levels), tuple(dict.fromkeys((*one.keys, *other.keys))))


def texts_of_runs() -> list[str]:
    """Return the constant texts of the lines about a run's events, which are listed in a table written by hand."""
    tree = ast.parse((PACKAGE / "reconciler" / "joblog.py").read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _called(node) == "_Line"]
    return [str(call.args[0].value) for call in calls if isinstance(call.args[0], ast.Constant)]


def meanings(page: str) -> dict[str, str]:
    """Return the sentence of each text that the tables of the page have."""
    return {row["text"]: row["meaning"].strip() for row in _ROW.finditer(_between(page))}


def render(page: str, lines: Iterable[LogLine]) -> str:
    """Return the page with new tables, which keep its sentences."""
    written = meanings(page)
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n{''.join(_tables(lines, written))}\n{END}{rest.partition(END)[2]}"


def _between(page: str) -> str:
    return page.partition(BEGIN)[2].partition(END)[0]


def _tables(lines: Iterable[LogLine], written: Mapping[str, str]) -> Iterator[str]:
    logger = None
    for line in lines:
        if line.logger != logger:
            logger = line.logger
            yield f"\n### `{logger}`\n\n| `msg` | Level | Keys | Meaning |\n|---|---|---|---|\n"
        keys = " ".join(f"`{key}`" for key in line.keys)
        yield f"| `{line.text}` | {' '.join(line.levels)} | {keys} | {written.get(line.text, MISSING)} |\n"


class _Module:
    """The calls of one module that log, and what its names stand for."""

    def __init__(self, name: str, tree: ast.Module) -> None:
        self._name = name
        self._tree = tree
        self._looked_at: ast.Call | None = None
        self._constants = dict(_constants(tree))
        self._functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        self._calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        self._logger = _logger_of(name)
        for call in self._calls:
            if _called(call) == "get_logger" and call.args and isinstance(call.args[0], ast.Constant):
                self._logger = str(call.args[0].value)
        self._bound = [key for call in self._calls if _is_bind(call) for key in self._keys(call)]

    def lines(self) -> Iterator[LogLine]:
        """Yield each text once, with all levels and keys that the module's calls give it."""
        levels: dict[str, set[str]] = {}
        keys: dict[str, dict[str, None]] = {}
        for call in self._calls:
            level = _level(call)
            if level is None:
                continue
            for instance in self._variants(call.args[0]):
                self._looked_at = instance
                for text in self._texts(call.args[0], call):
                    levels.setdefault(text, set()).add(level)
                    keys.setdefault(text, {}).update(dict.fromkeys(self._all_keys(call)))
        for text, found in levels.items():
            yield LogLine(self._logger, text, tuple(sorted(found)), tuple(keys[text]))

    def _variants(self, text: ast.expr) -> list[ast.Call | None]:
        """Return the instances that a text may be a field of, one after the other; None alone for any other text."""
        self._looked_at = None
        if not isinstance(text, ast.Attribute):
            return [None]
        values = self._field_values(text)
        return [call for call in self._calls if any(value in call.args for value in values)]

    def _texts(self, node: ast.expr, call: ast.Call) -> list[str]:
        """Return the texts that an expression can be: itself, both sides of an `if`, or what a parameter is given."""
        match node:
            case ast.Constant(value=str(text)):
                return [text]
            case ast.JoinedStr():
                return ["".join(self._piece(piece, call) for piece in node.values)]
            case ast.IfExp():
                return [*self._texts(node.body, call), *self._texts(node.orelse, call)]
            case ast.Name():
                given = [text for value, at in self._values(node.id, call) for text in self._texts(value, at)]
                if given:
                    return given
            case ast.Attribute():
                given = [text for value in self._field_values(node) for text in self._texts(value, call)]
                if given:
                    return given
        raise UnreadableCallError(f"{self._name}, line {call.lineno}: {ast.unparse(node)}")

    def _piece(self, piece: ast.expr, call: ast.Call) -> str:
        """Return a part of an f-string: text, or a constant of the module in its format."""
        match piece:
            case ast.Constant(value=str(text)):
                return text
            case ast.FormattedValue(value=ast.Name(id=name), format_spec=spec) if name in self._constants:
                form = (
                    "".join(self._piece(part, call) for part in spec.values) if isinstance(spec, ast.JoinedStr) else ""
                )
                return format(self._constants[name], form)
        raise UnreadableCallError(f"{self._name}, line {call.lineno}: {ast.unparse(piece)}")

    def _values(self, name: str, call: ast.Call) -> Iterator[tuple[ast.expr, ast.Call]]:
        """Yield what a name is in the function around a call, each with the call around which that is to be read.

        It is what is assigned to the name, or what is passed as the parameter of this name.
        """
        function = self._around(call)
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and any(isinstance(to, ast.Name) and to.id == name for to in node.targets):
                yield node.value, call
        names = [parameter.arg for parameter in function.args.args if parameter.arg != "self"]
        if name in names:
            for other in self._calls:
                if _called(other) == function.name and other is not call:
                    yield from ((value, other) for value in other.args[names.index(name) : names.index(name) + 1])
                    yield from ((keyword.value, other) for keyword in other.keywords if keyword.arg == name)

    def _field_values(self, node: ast.Attribute) -> list[ast.expr]:
        """Return what a field can be of the dataclasses of this module, in the instances that are made in it."""
        found: list[ast.expr] = []
        for known in (one for one in ast.walk(self._tree) if isinstance(one, ast.ClassDef)):
            fields = [
                one.target.id
                for one in known.body
                if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)
            ]
            if node.attr in fields:
                at = fields.index(node.attr)
                found.extend(
                    value for call in self._instances(known.name, node.value) for value in call.args[at : at + 1]
                )
        return found

    def _instances(self, name: str, owner: ast.expr) -> list[ast.Call]:
        """Return the calls that make instances of a class: the one of a constant, else the one looked at, else all."""
        for node in self._tree.body:
            match node:
                case (
                    ast.Assign(targets=[ast.Name(id=constant)], value=ast.Call() as call)
                    | ast.AnnAssign(target=ast.Name(id=constant), value=ast.Call() as call)
                ) if ast.unparse(owner) == constant and _called(call) == name:
                    return [call]
        made = [call for call in self._calls if _called(call) == name]
        return [self._looked_at] if self._looked_at in made else made

    def _around(self, call: ast.Call) -> ast.FunctionDef | ast.AsyncFunctionDef:
        """Return the innermost function that holds a call."""
        holding = [one for one in self._functions if any(node is call for node in ast.walk(one))]
        return max(holding, key=lambda one: one.lineno)

    def _all_keys(self, call: ast.Call) -> Iterator[str]:
        if ast.unparse(call.func).startswith("self."):
            yield from self._bound
        yield from self._keys(call)
        if _called(call) == "exception" or any(keyword.arg == "exc_info" for keyword in call.keywords):
            yield from ("error", "stacktrace")

    def _keys(self, call: ast.Call) -> Iterator[str]:
        for keyword in call.keywords:
            if keyword.arg is None:
                yield from self._keys_of(keyword.value, call)
            elif keyword.arg != "exc_info":
                yield keyword.arg

    def _keys_of(self, mapping: ast.expr, call: ast.Call) -> Iterator[str]:
        """Yield the keys of a mapping that is passed with `**`; `…` for one that is not written in the module."""
        match mapping:
            case ast.Dict():
                for key in mapping.keys:
                    if key is not None:
                        yield from self._key_names(key)
            case ast.IfExp():
                yield from self._keys_of(mapping.body, call)
                yield from self._keys_of(mapping.orelse, call)
            case ast.Name():
                given = [key for value, at in self._values(mapping.id, call) for key in self._keys_of(value, at)]
                yield from given or ["…"]
            case ast.Call() if returned := self._returned(_called(mapping)):
                for value in returned:
                    yield from self._keys_of(value, call)
            case _:
                yield "…"

    def _key_names(self, node: ast.expr) -> list[str]:
        """Return a key as the log has it: `LogKey.GVK.value` is `gvk`; several where it differs from call to call."""
        match node:
            case ast.Constant(value=str(key)):
                return [key]
            case ast.Attribute() if name := re.fullmatch(
                r"(?:logs\.)?LogKey\.([A-Z_]+)(?:\.value)?", ast.unparse(node)
            ):
                return [name[1].lower()]
            case ast.Attribute() if values := self._field_values(node):
                return [key for value in values for key in self._key_names(value)]
        raise UnreadableCallError(f"{self._name}: {ast.unparse(node)} is no key of a log line")

    def _returned(self, name: str) -> list[ast.expr]:
        """Return what a function of the module may return; empty for one of another module."""
        return [
            node.value
            for function in self._functions
            if function.name == name
            for node in ast.walk(function)
            if isinstance(node, ast.Return) and node.value is not None
        ]


def _constants(tree: ast.Module) -> Iterator[tuple[str, object]]:
    """Yield the names of a module that stand for a number or a text."""
    for node in tree.body:
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=value))
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.Constant(value=value))
            ):
                yield name, value


def _logger_of(module: str) -> str:
    """Return the name of a module's logger in the log: its package below the top one, as `logs` has it."""
    below = module.partition(".")[2]
    return below.rpartition(".")[0] or below


def _level(call: ast.Call) -> str | None:
    """Return the level at which a call logs, or None for any other call."""
    match call.func:
        case ast.Attribute(value=receiver, attr=method) if method in _LEVELS and call.args:
            return _LEVELS[method] if _LOGGER.fullmatch(ast.unparse(receiver)) else None
    return None


def _is_bind(call: ast.Call) -> bool:
    match call.func:
        case ast.Attribute(value=receiver, attr="bind"):
            return bool(_LOGGER.fullmatch(ast.unparse(receiver)))
    return False


def _called(call: ast.Call) -> str:
    """Return the last part of the name that is called."""
    return ast.unparse(call.func).rpartition(".")[2]


if __name__ == "__main__":
    sys.exit(main())
