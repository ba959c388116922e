"""What a file says is what it says now, whatever was kept of it, and whoever was given it before."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

import pytest

from reconcile_runner.execution.forkserver.handover import Topic, take
from reconcile_runner.execution.forkserver.patches.yamlfiles import ParsedFiles
from tests.support import cores, fresh

Load = tuple[str, dict[str, Any]]
"""The name of a file, and the other arguments of ``load_from_file``."""

TRUSTED = {} if cores.IS_BEFORE_219 else {"trusted_as_template": True}
"""How Ansible loads the files of roles and playbooks, all of which may hold templates."""

SECRETS = {
    "whole": "$ANSIBLE_VAULT;1.1;AES256\n6162\n",
    "value": "a: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  6162\n",
    "old-tag": "a: !vault-encrypted |\n  6162\n",
}
UNREADABLE = {
    "none": None,
    "broken": "a: [\n",
    "binary": "a: \0\n",
    "large": "a: " + "x" * 200_001,
}
DUPLICATE = "a: 1\na: 2\n"
ORDERED = "a: !!omap\n  - b: 1\n"
if cores.IS_BEFORE_219:
    TALKATIVE = {"duplicate": (DUPLICATE, "found a duplicate dict key")}
    ERRORS = {"json": "AnsibleParserError", "yaml": "AnsibleParserError"}
else:
    TALKATIVE = {"duplicate": (DUPLICATE, "Found duplicate mapping key"), "ordered": (ORDERED, "omap")}
    ERRORS = {"json": "AnsibleJSONParserError", "yaml": "AnsibleYAMLParserError"}


class Zygote:
    """As much of a zygote as keeps files. Only in a process of its own."""

    def __init__(self, root: str) -> None:
        fresh.load_ansible()
        self.root = Path(root)
        self.published = self.root / "published"
        self.published.mkdir()
        self.files = ParsedFiles(self.published)
        self.files.install()
        parser: Any = importlib.import_module("ansible.parsing.dataloader")
        self.parsed: list[str] = []
        ordinary = parser.DataLoader.load

        def load(loader: Any, *arguments: Any, **named: Any) -> Any:
            self.parsed.append(Path(str(named.get("file_name"))).name)
            return ordinary(loader, *arguments, **named)

        parser.DataLoader.load = load

    def update(self) -> list[str]:
        """Learn as between two runs; return what is kept."""
        self.files.update()
        return sorted(Path(path).name for path, _, _ in self.files._parsed)

    def play(self, *loads: Load) -> Any:
        """Load files in a play; return what they said, which of them were parsed, and what was displayed."""
        return fresh.in_a_fork(self._play, *loads)

    def _play(self, *loads: Load) -> dict[str, Any]:
        display = importlib.import_module("ansible.utils.display").Display
        displayed: list[str] = []
        display.display = lambda _self, message, *_others, **_named: displayed.append(message)
        loader = importlib.import_module("ansible.parsing.dataloader").DataLoader()
        self.parsed.clear()
        said = [told(loader, str(self.root / name), named) for name, named in loads]
        self.files.publish(self.root / "run")
        return {"said": said, "parsed": list(self.parsed), "displayed": displayed}


def told(loader: Any, path: str, named: dict[str, Any]) -> Any:
    errors: Any = importlib.import_module("ansible.errors")
    try:
        said = loader.load_from_file(path, **named)
        text = said.get("text") if isinstance(said, dict) else None
        if text is None:
            return str(said)
    except errors.AnsibleError as error:
        return f"{type(error).__name__}: {error}"
    except RecursionError as error:
        return type(error).__name__
    (source, line, column), trusted = known_of(text)
    return [said, f"{Path(source).name}:{line}:{column}", trusted]


def known_of(text: Any) -> tuple[tuple[str, int, int], bool]:
    """Return the file, line and column that Ansible knows of a text, and whether it may be a template."""
    if cores.IS_BEFORE_219:
        return getattr(text, "ansible_pos", ("", 0, 0)), True  # text of JSON is any text
    tags: Any = importlib.import_module("ansible._internal._datatag._tags")
    origin = tags.Origin.get_tag(text)
    return (origin.path, origin.line_num, origin.col_num), tags.TrustedAsTemplate.is_tagged_on(text)


def write(root: Path, files: dict[str, str | None]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text is not None:
            path.write_text(text, encoding="utf-8")


def as_parsed(root: str, name: str, named: dict[str, Any]) -> list[Any]:
    zygote = Zygote(root)
    first = zygote.play((name, named))
    kept = zygote.update()
    return [first, kept, zygote.play((name, named)), zygote.play((name, named))]


@pytest.mark.parametrize("trusted", [True, pytest.param(False, marks=cores.of_219)])
def test_a_file_that_was_kept_says_the_same(tmp_path: Path, *, trusted: bool) -> None:
    write(tmp_path, {"a.yml": 'list: [1, 2.5, null]\ntext: "{{ one }}"\n'})
    named = TRUSTED if trusted else {"trusted_as_template": False}
    first, kept, second, third = fresh.call_with_ansible(as_parsed, str(tmp_path), "a.yml", named)
    assert first["said"] == [[{"list": [1, 2.5, None], "text": "{{ one }}"}, "a.yml:2:7", trusted]]
    assert (first["parsed"], kept) == (["a.yml"], ["a.yml"])
    assert second == third == {**first, "parsed": []}


def test_a_file_of_json_only_is_kept(tmp_path: Path) -> None:
    write(tmp_path, {"a.json": '{"text": "json"}'})
    first, kept, second, _ = fresh.call_with_ansible(as_parsed, str(tmp_path), "a.json", {"json_only": True})
    assert first["said"][0][0] == {"text": "json"}
    assert kept == ["a.json"]
    assert second == {**first, "parsed": []}


def as_both(root: str) -> list[Any]:
    zygote = Zygote(root)
    first = zygote.play(("a.yml", {}), ("a.yml", {"cache": "none", "json_only": True}))
    return [first, zygote.update(), zygote.play(("a.yml", {"cache": "none", "json_only": True}))]


def test_what_is_kept_of_yaml_is_not_told_who_takes_json_only(tmp_path: Path) -> None:
    write(tmp_path, {"a.yml": "text: yaml\n"})
    first, kept, second = fresh.call_with_ansible(as_both, str(tmp_path))
    assert kept == ["a.yml"]
    assert first["said"][1].startswith(ERRORS["json"])
    assert second["said"] == first["said"][1:]


def as_edited(root: str) -> list[Any]:
    zygote, path = Zygote(root), Path(root) / "a.yml"
    zygote.play(("a.yml", {}))
    zygote.update()
    before = path.stat()
    path.write_text("text: two\n", encoding="utf-8")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_mtime_ns, path.stat().st_size) == (before.st_mtime_ns, before.st_size)
    answers = [zygote.play(("a.yml", {}))]
    zygote.update()
    answers.append(zygote.play(("a.yml", {})))
    path.unlink()
    answers.append(zygote.play(("a.yml", {})))
    return answers


def test_an_edited_file_is_parsed_anew_and_then_kept_anew(tmp_path: Path) -> None:
    write(tmp_path, {"a.yml": "text: one\n"})
    edited, kept, removed = fresh.call_with_ansible(as_edited, str(tmp_path))
    assert (edited["said"][0][0], edited["parsed"]) == ({"text": "two"}, ["a.yml"])
    assert (kept["said"], kept["parsed"]) == (edited["said"], [])
    assert removed["said"][0].startswith("AnsibleFileNotFound")


def as_twice(root: str) -> list[Any]:
    zygote = Zygote(root)
    for _ in range(2):
        zygote.play(("a.yml", {}))
        zygote.update()
    once: Load = ("a.yml", {})
    anew: Load = ("a.yml", {"cache": "none"})
    return [zygote.play(once, once), zygote.play(anew, anew), zygote.play(once, anew), fresh.in_a_fork(changed, zygote)]


def changed(zygote: Zygote) -> list[Any]:
    """Change what one load gave, and load again."""
    loader: Any = importlib.import_module("ansible.parsing.dataloader").DataLoader()
    path = str(zygote.root / "a.yml")
    given = loader.load_from_file(path)
    given["list"].append("of a caller")
    del given["text"]
    return [loader.load_from_file(path), loader.load_from_file(path, cache="none")]


def test_what_is_loaded_twice_in_one_run_is_not_shared(tmp_path: Path) -> None:
    write(tmp_path, {"a.yml": "text: one\nlist: [1]\n"})
    cached, anew, both, after_change = fresh.call_with_ansible(as_twice, str(tmp_path))
    said = {"text": "one", "list": [1]}
    for each in (cached, anew, both):
        assert [one[0] for one in each["said"]] == [said, said]
    assert cached["parsed"] == [], "Ansible's own cache has it the second time"
    assert anew["parsed"] == both["parsed"] == ["a.yml"], "it is given out once"
    assert after_change == [said, said]


def as_many(root: str, names: list[str]) -> list[Any]:
    zygote = Zygote(root)
    loads: list[Load] = [(name, TRUSTED) for name in names]
    plays = [zygote.play(each) for each in loads]
    kept = zygote.update()
    return [kept, plays, [zygote.play(each) for each in loads]]


def test_what_needs_a_secret_is_never_kept(tmp_path: Path) -> None:
    write(tmp_path, {**SECRETS, "plain": "a: 1\n"})
    kept, first, second = fresh.call_with_ansible(as_many, str(tmp_path), [*SECRETS, "plain"])
    assert kept == ["plain"]
    assert [each["said"] for each in first] == [each["said"] for each in second]


def test_what_cannot_be_read_is_told_to_each_run_and_harms_nobody(tmp_path: Path) -> None:
    write(tmp_path, {**UNREADABLE, "plain": "a: 1\n"})
    kept, first, second = fresh.call_with_ansible(as_many, str(tmp_path), [*UNREADABLE, "plain"])
    assert kept == ["plain"]
    assert [each["said"] for each in first] == [each["said"] for each in second]
    assert first[0]["said"][0].startswith("AnsibleFileNotFound")
    assert first[1]["said"][0].startswith(ERRORS["yaml"])


def test_a_file_that_makes_ansible_say_something_says_it_in_each_run(tmp_path: Path) -> None:
    write(tmp_path, {name: text for name, (text, _) in TALKATIVE.items()})
    kept, first, second = fresh.call_with_ansible(as_many, str(tmp_path), list(TALKATIVE))
    for play, (_, words) in zip(first, TALKATIVE.values(), strict=True):
        assert words in str(play["displayed"])
    assert first == second
    assert kept == []


def test_two_files_that_say_the_same_are_not_kept_either(tmp_path: Path) -> None:
    """Ansible says one thing once in each process, and a zygote is one process for all of its runs."""
    write(tmp_path, {"a.yml": DUPLICATE if cores.IS_BEFORE_219 else ORDERED})
    kept, first, second = fresh.call_with_ansible(as_many, str(tmp_path), ["a.yml", "a.yml"])
    assert kept == []
    assert first == second


def as_changing(root: str) -> list[Any]:
    """Have a file change between the looks that a zygote takes at it, and change back."""
    zygote, path = Zygote(root), Path(root) / "a.yml"
    zygote.play(("a.yml", {}))
    parser: Any = importlib.import_module("ansible.parsing.dataloader")
    ordinary = parser.DataLoader.load_from_file

    def load_from_file(*arguments: Any, **named: Any) -> Any:
        path.write_text("text: two\n", encoding="utf-8")
        return ordinary(*arguments, **named)

    parser.DataLoader.load_from_file = load_from_file
    zygote.update()
    parser.DataLoader.load_from_file = ordinary
    path.write_text("text: one\n", encoding="utf-8")
    return [zygote.play(("a.yml", {}))]


def test_a_file_that_changes_while_it_is_parsed_is_not_kept(tmp_path: Path) -> None:
    write(tmp_path, {"a.yml": "text: one\n"})
    (play,) = fresh.call_with_ansible(as_changing, str(tmp_path))
    assert play["said"][0][0] == {"text": "one"}


def as_of_the_run(root: str, names: list[str]) -> list[str]:
    zygote = Zygote(root)
    zygote.play(*[(name, {}) for name in names])
    return [path for keys in take(zygote.published, Topic.FILES) for path, _, _ in keys]


def test_files_of_the_runs_own_directory_are_not_announced(tmp_path: Path) -> None:
    names = ["run/env/extravars", "run/project/play.yml", "runner/a.yml", "role/a.yml"]
    write(tmp_path, dict.fromkeys(names, "text: one\n"))
    published = fresh.call_with_ansible(as_of_the_run, str(tmp_path), names)
    assert published == [f"{tmp_path}/role/a.yml", f"{tmp_path}/runner/a.yml"]


def test_nor_are_they_by_another_path(tmp_path: Path) -> None:
    write(tmp_path, {"run/env/extravars": "text: one\n", "role/a.yml": "text: one\n"})
    (tmp_path / "alias").symlink_to(tmp_path / "run")
    published = fresh.call_with_ansible(as_of_the_run, str(tmp_path), ["alias/env/extravars", "role/a.yml"])
    assert published == [f"{tmp_path}/role/a.yml"]
