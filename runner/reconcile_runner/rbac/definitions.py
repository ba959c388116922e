"""The objects in a task of ``kubernetes.core``: their kinds, nothing rendered.

A definition may be data, YAML as text, or a file; a template is read by its ``kind:`` and ``apiVersion:`` lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from reconcile_runner.apimachinery.objects import GroupVersionKind, KubeObject, metadata
from reconcile_runner.content.tasks import Call
from reconcile_runner.content.variables import Variables, is_template
from reconcile_runner.content.yamlfiles import YamlFileError, documents_of, text_of

_DEFINITION: Final = ("resource_definition", "definition", "inline")
_API_VERSION: Final = ("api_version", "api", "version")
_LOOKUP: Final = re.compile(
    r"""\b(?:lookup|query|q)\(\s*['"](?:ansible\.builtin\.)?(?P<plugin>template|file)['"]\s*,\s*(?P<path>[^,)]+)"""
)
_FOLDERS: Final = {"template": "templates", "file": "files"}
_TOP_LINE: Final = re.compile(r"^(?P<key>kind|apiVersion):[ \t]*(?P<value>.*?)[ \t]*(?:#.*)?$", re.MULTILINE)
_ITEM_LINE: Final = re.compile(r"^[ \t]*(?:-[ \t]+)?(?P<key>kind|apiVersion):[ \t]*(?P<value>.*?)[ \t]*$", re.MULTILINE)
_NAME: Final = re.compile(r"^metadata:[ \t]*\n(?:[ \t]+.*\n)*?[ \t]+name:[ \t]*(?P<name>.*?)[ \t]*$", re.MULTILINE)
_SEPARATOR: Final = re.compile(r"^---.*$", re.MULTILINE)
_BLOCKING: Final = re.compile(r"blockOwnerDeletion:[ \t]*[Tt]rue")


class UnknownKindError(Exception):
    """What a task is about cannot be read from it. The message says what was found."""


@dataclass(frozen=True, slots=True)
class DescribedObject:
    """An object of a task.

    - ``name``, ``namespace``: as they are written, perhaps templates; empty: none is given
    - ``blocked_owners``: kinds of the owners to which it has references with ``blockOwnerDeletion: true``; a kind
      without a name is not known
    """

    gvk: GroupVersionKind
    name: str = ""
    namespace: str = ""
    is_generated: bool = False
    blocked_owners: tuple[GroupVersionKind, ...] = ()

    @property
    def literal_name(self) -> str:
        """Return the name where it is no template, else nothing."""
        return "" if is_template(self.name) else self.name

    @property
    def may_be_unnamed(self) -> bool:
        """Tell whether a request may be about all objects of the kind."""
        return not self.name or bool(re.search(r"\bomit\b", self.name))


def described_objects(call: Call, default_kind: str = "") -> list[DescribedObject]:
    """Return the objects of a task. Raises ``UnknownKindError``."""
    definition = next((call.args[key] for key in _DEFINITION if call.args.get(key)), None)
    if definition is not None:
        return [_completed(obj, call.args, default_kind) for obj in _defined(definition, call)]
    if call.args.get("template"):
        return [_completed(obj, call.args, default_kind) for obj in _of_templates(call.args["template"], call)]
    if call.args.get("src"):
        return [_completed(obj, call.args, default_kind) for obj in _of_file("files", str(call.args["src"]), call)]
    return [_completed({}, call.args, default_kind)]


def _completed(obj: KubeObject, args: Mapping[str, Any], default_kind: str) -> DescribedObject:
    """Return what a definition says, and the task's options where it says nothing."""
    meta = metadata(obj) if isinstance(obj.get("metadata") or {}, dict) else {}
    kind = str(obj.get("kind") or args.get("kind") or default_kind)
    option = next((str(args[key]) for key in _API_VERSION if args.get(key)), "v1")
    api_version = str(obj.get("apiVersion") or option)
    for field, value in (("kind", kind), ("apiVersion", api_version)):
        if not value or is_template(value):
            raise UnknownKindError(f"found {field} {value!r}, expected one that is known without a run")
    # Hashes and label selectors make another name of it, or none.
    name = "{{ hashed }}" if args.get("append_hash") else str(meta.get("name") or args.get("name") or "")
    return DescribedObject(
        GroupVersionKind.of({"apiVersion": api_version, "kind": kind}),
        name,
        str(meta.get("namespace") or args.get("namespace") or ""),
        bool(meta.get("generateName") or args.get("generate_name")),
        tuple(_blocked(meta.get("ownerReferences"))),
    )


def _blocked(references: object) -> Iterator[GroupVersionKind]:
    for reference in references if isinstance(references, list) else ():
        if isinstance(reference, dict) and reference.get("blockOwnerDeletion") is True:
            owner = GroupVersionKind.of(reference)
            yield GroupVersionKind("", "", "") if is_template(f"{owner.api_version} {owner.kind}") else owner


def _defined(definition: object, call: Call) -> Iterator[KubeObject]:
    match definition:
        case dict():
            yield from _flattened(definition)
        case list():
            for item in definition:
                yield from _defined(item, call)
        case str() if _LOOKUP.search(definition):
            for found in _LOOKUP.finditer(definition):
                yield from _of_file(_FOLDERS[found["plugin"]], _path(found["path"], call.variables), call)
        case str():
            yield from _of_text(definition)
        case _:
            raise UnknownKindError(f"found the definition {definition!r}, expected an object")


def _flattened(obj: KubeObject) -> Iterator[KubeObject]:
    """Yield an object, or the items of a list of them."""
    items = obj.get("items")
    if not str(obj.get("kind", "")).endswith("List") or not isinstance(items, list):
        yield obj
        return
    for item in items:
        if isinstance(item, dict):
            own = {"kind": str(obj["kind"]).removesuffix("List"), "apiVersion": obj.get("apiVersion")}
            yield {**own, **item}


def _of_templates(templates: object, call: Call) -> Iterator[KubeObject]:
    for template in templates if isinstance(templates, list) else [templates]:
        path = template.get("path") if isinstance(template, dict) else template
        yield from _of_file("templates", str(path), call)


def _of_file(folder: str, name: str, call: Call) -> Iterator[KubeObject]:
    files = [] if "://" in name else call.search.files(folder, name)
    if not files:
        raise UnknownKindError(f"found the file {name!r}, expected one that can be read without a run")
    for file in files:
        try:
            yield from _of_text(text_of(file))
        except (YamlFileError, UnknownKindError) as error:
            raise UnknownKindError(f"{file.name}: {error}") from error


def _path(expression: str, variables: Variables) -> str:
    """Return the path in an argument of a lookup: texts and variables joined."""
    parts = [part.strip() for part in re.split(r"[~+]", expression)]
    return "".join(
        part[1:-1] if part[:1] in {"'", '"'} else str(variables.resolve(f"{{{{ {part} }}}}")) for part in parts
    )


def _of_text(text: str) -> Iterator[KubeObject]:
    if not is_template(text):
        try:
            loaded = documents_of(text)
        except YamlFileError as error:
            raise UnknownKindError(str(error)) from error
        for document in loaded:
            if not isinstance(document, dict):
                raise UnknownKindError(f"found {str(document)[:40]!r}, expected an object")
            yield from _flattened(document)
        return
    found = [obj for document in _SEPARATOR.split(text) for obj in _of_template_text(document)]
    if not found:
        raise UnknownKindError(f"found {' '.join(text.split())[:60]!r}, expected lines with kind and apiVersion")
    yield from found


def _of_template_text(text: str) -> Iterator[KubeObject]:
    """Yield the objects in the lines of one document.

    A template may name several kinds, each for another case.
    """
    values = _values(_TOP_LINE, text)
    if any(kind.endswith("List") for kind in values["kind"]):
        values = _values(_ITEM_LINE, text)
        values["kind"] = [kind for kind in values["kind"] if not kind.endswith("List")]
        values["apiVersion"] = values["apiVersion"][-len(values["kind"]) :]
    kinds, versions = values["kind"], values["apiVersion"]
    if len(versions) not in {0, 1, len(kinds)}:
        raise UnknownKindError(
            f"found {len(kinds)} lines with kind and {len(versions)} with apiVersion in one document"
        )
    name = _NAME.search(text)
    meta: dict[str, Any] = {"name": _unquoted(name["name"]) if name and len(kinds) == 1 else "{{ templated }}"}
    if _BLOCKING.search(text):
        meta["ownerReferences"] = [{"blockOwnerDeletion": True}]
    for number, kind in enumerate(kinds):
        version = versions[number] if len(versions) == len(kinds) else next(iter(versions), None)
        yield {"kind": kind, "apiVersion": version, "metadata": meta}


def _values(line: re.Pattern[str], text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {"kind": [], "apiVersion": []}
    for match in line.finditer(text):
        found[match["key"]].append(_unquoted(match["value"]))
    return found


def _unquoted(text: str) -> str:
    return text.strip().strip("'\"")
