"""A module imports what its own zip holds, whatever other zips were made ready before it, and what is shared."""

from __future__ import annotations

import base64
import dataclasses
import importlib
import runpy
import sys
import zlib
from pathlib import Path
from typing import Any

from reconcile_runner.execution.forkserver.handover import Topic, publish
from reconcile_runner.execution.forkserver.modules import archives, preload
from reconcile_runner.execution.forkserver.modules.archives import Archives
from reconcile_runner.execution.forkserver.modules.importsystem import ImportSystem
from reconcile_runner.execution.forkserver.modules.preload import TargetModule, TargetModules
from tests.support import fresh
from tests.support.payloads import MODULE, NAME, SHARED, pack

TELLS = f"from {SHARED.replace('/', '.')}.words import WORD\nANSWER = WORD\n"
WORDS = f"{SHARED}/words.py"
EXTRA = f"{SHARED}/extra.py"
TRIES = f"""
ANSWER = []
for statement in ("import {SHARED.replace("/", ".")}.extra", "from {SHARED.replace("/", ".")} import extra"):
    try:
        exec(statement)
    except ImportError:
        ANSWER.append("not there")
    else:
        ANSWER.append("there")
"""


class Zygote:
    """As much of a zygote as keeps zips. Only in a process of its own: ``loaded`` is what modules share."""

    def __init__(self, root: str, loaded: dict[str, str]) -> None:
        self.root = Path(root)
        self.published = self.root / "published"
        self.published.mkdir()
        sys.path.insert(0, str(self.root / "shared"))
        by_file = {}
        for name, text in loaded.items():
            path = self.root / "shared" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        for name, text in loaded.items():
            module = importlib.import_module(name.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
            by_file[name] = TargetModule(module, zlib.crc32(text.encode()))
        del sys.path[0]
        system = ImportSystem.current()
        self.target = TargetModules(dataclasses.replace(system, importers={}), by_file)
        self.archives = Archives(self.root, self.published, self.target)

    def run(self, text: bytes) -> Any:
        """Return the answer of the module in a zip, and where it and its words are from."""
        return fresh.in_a_fork(self._run, text)

    def _run(self, text: bytes) -> Any:
        known = self.archives.find(text)
        if known:
            known.install(self.target)
        else:
            path = self.root / "unknown.zip"
            path.write_bytes(base64.b64decode(text))
            archives.link(str(path), archives.loaded(archives.checksums(path.read_bytes()), self.target), self.target)
        module = importlib.import_module(NAME)
        words = sys.modules.get(f"{SHARED.replace('/', '.')}.words")
        places = [str(Path(str(each.__file__)).relative_to(self.root)) for each in (module, words) if each]
        return [module.ANSWER, *places]


def prepared(root: str, loaded: dict[str, str], zips: list[dict[str, str]]) -> Any:
    zygote = Zygote(root, loaded)
    texts = [pack(files) for files in zips]
    unknown = [zygote.run(text) for text in texts]
    for text in texts:
        zygote.archives.add(NAME, text)
    return [unknown, [zygote.run(text) for text in texts]]


def test_a_zip_that_was_made_ready_gives_what_one_that_was_not_gives(tmp_path: Path) -> None:
    zips = [{MODULE: TELLS, WORDS: "WORD = 'one'\n"}]
    unknown, known = fresh.call(prepared, str(tmp_path), {}, zips)
    assert unknown == [["one", f"unknown.zip/{MODULE}", f"unknown.zip/{WORDS}"]]
    assert known == [["one", f"archive_0_payload.zip/{MODULE}", f"archive_0_payload.zip/{WORDS}"]]


def test_two_versions_of_shared_code_each_go_to_their_own_module(tmp_path: Path) -> None:
    zips = [{MODULE: TELLS, WORDS: f"WORD = '{word}'\n"} for word in ("one", "two", "six")]
    for loaded in ({}, {WORDS: "WORD = 'two'\n"}):
        root = tmp_path / str(len(loaded))
        root.mkdir()
        unknown, known = fresh.call(prepared, str(root), loaded, zips)
        assert [answer for answer, *_ in unknown] == [answer for answer, *_ in known] == ["one", "two", "six"]
        assert known[1][2] == (f"shared/{WORDS}" if loaded else f"archive_1_payload.zip/{WORDS}")


def test_what_is_loaded_is_shared_byte_for_byte_only(tmp_path: Path) -> None:
    loaded = {WORDS: "WORD = 'one'\n", f"{SHARED}/other.py": "OTHER = 'of the zip'\n"}
    same = {MODULE: TELLS, WORDS: "WORD = 'one'\n"}
    with_other = {**same, f"{SHARED}/other.py": "OTHER = 'of another release'\n"}
    _, known = fresh.call(prepared, str(tmp_path), loaded, [same, with_other])
    assert known[0][2] == f"shared/{WORDS}"
    assert known[1][2] == f"archive_1_payload.zip/{WORDS}", "what differs may be imported by what is the same"


def test_what_only_one_zip_holds_cannot_be_imported_from_another(tmp_path: Path) -> None:
    text = "ANSWER = 'there'\n"
    zips = [{MODULE: TRIES, EXTRA: text, WORDS: ""}, {MODULE: TRIES, WORDS: ""}]
    package = {f"{SHARED}/__init__.py": "MEANING = 'a package with something in it'\n"}
    for loaded in ({}, {WORDS: ""}, package, {**package, WORDS: ""}):
        root = tmp_path / str(len(list(tmp_path.iterdir())))
        root.mkdir()
        unknown, known = fresh.call(prepared, str(root), loaded, [{**each, **loaded} for each in zips])
        assert [answer for answer, *_ in unknown] == [["there"] * 2, ["not there"] * 2]
        assert [answer for answer, *_ in known] == [["there"] * 2, ["not there"] * 2]


def nested(root: str) -> Any:
    """Make ready a zip whose package lies between a shared package and shared code; run one without it."""
    package = {f"{SHARED}/__init__.py": "MEANING = 1\n"}
    below = {f"{SHARED}/extra/__init__.py": "", f"{SHARED}/extra/deep.py": "DEEP = 1\n"}
    zygote = Zygote(root, {**package, **below})
    zygote.target.by_file.pop(f"{SHARED}/extra/__init__.py")
    delattr(zygote.target.by_file[f"{SHARED}/__init__.py"].module, "extra")
    zygote.archives.add(NAME, pack({MODULE: TRIES, **package, **below}))
    without = pack({MODULE: TRIES, **package})
    answers = [zygote.run(without)]
    zygote.archives.add(NAME, without)
    return [*answers, zygote.run(without)]


def test_nor_by_a_shared_package_that_knew_it(tmp_path: Path) -> None:
    assert [answer for answer, *_ in fresh.call(nested, str(tmp_path))] == [["not there"] * 2] * 2


def compiled(root: str) -> Any:
    """Run modules as Ansible's loader does; return of each whether any of it was compiled there."""
    zygote = Zygote(root, {})
    first, second = pack({MODULE: "ANSWER = 'one'\n"}), pack({MODULE: "ANSWER = 'two'\n"})
    zygote.archives.add(NAME, first)

    def run(text: bytes) -> Any:
        importer: Any = importlib.import_module("zipimport")
        ordinary, names = importer._compile_source, []

        def compile_source(path: str, source: bytes) -> Any:
            names.append(path)
            return ordinary(path, source)

        importer._compile_source = compile_source
        known = zygote.archives.find(text)
        if known:
            known.install(zygote.target)
        else:
            (zygote.root / "unknown.zip").write_bytes(base64.b64decode(text))
            sys.path.insert(0, str(zygote.root / "unknown.zip"))
        answer = runpy.run_module(NAME, run_name="__main__", alter_sys=True)["ANSWER"]
        return [answer, any(name.endswith(MODULE) for name in names)]

    return [fresh.in_a_fork(run, text) for text in (first, second)]


def test_a_module_that_was_made_ready_is_not_compiled_by_the_run(tmp_path: Path) -> None:
    assert fresh.call(compiled, str(tmp_path)) == [["one", False], ["two", True]]


def test_other_bytes_are_another_zip(tmp_path: Path) -> None:
    assert fresh.call(of_other_bytes, str(tmp_path)) == [True, False, ["two", "unknown.zip/" + MODULE]]


def of_other_bytes(root: str) -> Any:
    zygote = Zygote(root, {})
    first, second = pack({MODULE: "ANSWER = 'one'\n"}), pack({MODULE: "ANSWER = 'two'\n"})
    zygote.archives.add(NAME, first)
    return [zygote.archives.find(first) is not None, zygote.archives.find(second) is not None, zygote.run(second)]


def process_around(root: str) -> list[str]:
    zygote = Zygote(root, {WORDS: "WORD = 'one'\n"})

    def look() -> dict[str, Any]:
        return {
            "path": list(sys.path), "hooks": list(sys.path_hooks), "finders": list(sys.meta_path),
            "importers": dict(sys.path_importer_cache), "modules": ImportSystem.current().modules,
        }  # fmt: skip

    before = look()
    zygote.archives.add(NAME, pack({MODULE: TELLS, WORDS: "WORD = 'one'\n"}))
    changed = [name for name, value in look().items() if value != before[name]]
    try:
        zygote.archives.add(NAME, pack({f"{SHARED}/__init__.py": "", MODULE.replace("told", "other"): ""}))
    except ImportError as error:
        changed.append(str(error))
    return [*changed, *[name for name, value in look().items() if value != before[name]]]


def test_to_make_one_ready_leaves_the_process_as_it_was(tmp_path: Path) -> None:
    assert fresh.call(process_around, str(tmp_path)) == [f"{NAME} is not in its zip"]


def published(root: str) -> Any:
    zygote = Zygote(root, {})
    good = pack({MODULE: "ANSWER = 'one'\n"})
    bad = [b"no base64!", base64.b64encode(b"no zip"), b"", pack({}), pack({MODULE: "def (\n"})]
    for each in [*bad, good, good]:
        publish(zygote.published, Topic.ARCHIVE, (NAME, each))
    zygote.archives.update()
    found = [zygote.archives.find(each) is not None for each in (*bad, good)]
    return [found, zygote.run(good), list(zygote.published.iterdir()), [str(p) for p in sys.path if "archive" in p]]


def after_a_bad_one(root: str) -> Any:
    zygote = Zygote(root, {})
    texts = [pack({MODULE: code}) for code in ("def (\n", "# longer than the one before it\nANSWER = 'one'\n")]
    for text in texts:
        publish(zygote.published, Topic.ARCHIVE, (NAME, text))
        zygote.archives.update()
    return [zygote.archives.find(text) is not None for text in texts]


def test_one_that_cannot_be_made_ready_is_not_in_the_way_of_the_next(tmp_path: Path) -> None:
    assert fresh.call(after_a_bad_one, str(tmp_path)) == [False, True]


def test_what_cannot_be_made_ready_stays_unknown(tmp_path: Path) -> None:
    found, answer, left, path = fresh.call(published, str(tmp_path))
    assert found == [False] * 5 + [True]
    assert answer[0] == "one"
    assert (left, path) == ([], [])


def checksums_of_loaded(root: str) -> dict[str, int]:
    target = preload.load(ImportSystem.current(), [Path(root)])
    return {name: each.checksum for name, each in target.by_file.items()}


def test_a_module_that_puts_another_in_its_own_place_is_known_by_its_own_file(tmp_path: Path) -> None:
    """As ``ansible.module_utils.compat.selectors`` does before ansible-core 2.18: every module's zip holds it."""
    name = "ansible_collections/kubernetes/core/plugins/module_utils/replaced.py"
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_text("import selectors, sys\nsys.modules[__name__] = selectors\n")
    known = fresh.call(checksums_of_loaded, str(tmp_path))
    assert known[name] == zlib.crc32((tmp_path / name).read_bytes())
    ansible = Path(str(importlib.import_module("ansible").__path__[0])).parent
    own = [
        name
        for name in known
        if name.startswith("ansible/module_utils/") and Path(name).name != "__init__.py" and (ansible / name).exists()
    ]
    assert len(own) > 50
    assert [file for file in own if known[file] != zlib.crc32((ansible / file).read_bytes())] == []
