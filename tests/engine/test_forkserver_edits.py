"""The next run uses each file as it is now, however it was changed, in a tree of thousands: as `ansible-playbook` does.

Every file of `tests/testdata/edits` that a run uses tells a word there. The files are found by that word.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import orjson
import pytest

from reconcile_runner.execution.forkserver.engine import ForkserverEngine
from reconcile_runner.execution.pool import Engine, SubprocessEngine
from tests.support.jobs import make_job
from tests.support.paths import TESTDATA

pytestmark = pytest.mark.timeout(1800)

EDITS = TESTDATA / "edits"
WORD = "w100"
MANY = 5_100
"""Files of another collection, which come first."""

COLLECTION = "collections/ansible_collections/zzz/mine"


def in_place_with_its_time(path: Path, text: str) -> None:
    state = path.stat()
    path.write_text(text)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def by_a_rename_with_its_time(path: Path, text: str) -> None:
    state = path.stat()
    new = path.with_name(f"{path.name}.new")
    new.write_text(text)
    os.utime(new, ns=(state.st_atime_ns, state.st_mtime_ns))
    new.rename(path)


WAYS = (in_place_with_its_time, by_a_rename_with_its_time)


class Tree:
    """A copy of the files, each with a word of its own, and runs of a playbook in it."""

    def __init__(self, root: Path, playbook: str) -> None:
        self.root = root
        self.playbook = root / "project" / playbook
        self._numbers = itertools.count(int(WORD[1:]) + 1)
        shutil.copytree(EDITS, root)
        big = root / "collections" / "ansible_collections" / "aaa" / "big" / "plugins" / "modules"
        big.mkdir(parents=True)
        for number in range(MANY):
            (big / f"m{number}.py").touch()
        self.words = {path: WORD for path in sorted(root.rglob("*.*")) if path.is_file() and WORD in path.read_text()}
        for path in self.words:
            self.change(path, in_place_with_its_time)

    def change(self, path: Path, way: Callable[[Path, str], None]) -> str:
        """Give a file another word; return it."""
        before, after = self.words[path], f"w{next(self._numbers)}"
        way(path, path.read_text().replace(before, after))
        self.words[path] = after
        return after

    @property
    def sources(self) -> tuple[Path, ...]:
        return (self.playbook, *sorted((self.root / "project" / "roles").iterdir()))

    async def told(self, engine: Engine) -> list[str]:
        """Run the playbook and return the words that the run told."""
        report, notes, configured = self.root / "report", self.root / "notes", self.root / "configured"
        env = {
            "ANSIBLE_CONFIG": str(self.root / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": f"{self.root / 'earlier'}:{self.root / 'collections'}",
            "ANSIBLE_LIBRARY": str(configured / "library"),
            "ANSIBLE_CALLBACKS_ENABLED": "zzz.mine.notes",
            "ANSIBLE_VARS_ENABLED": "host_group_vars,zzz.mine.knows",
            "ANSIBLE_INVENTORY_ENABLED": "zzz.mine.hosts,host_list,yaml,ini",
            "NOTES": str(notes),
            # What Python keeps of a file it takes for current by the second: Ansible itself would miss some edits.
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        if self.playbook.stem == "brings":
            env |= {
                f"ANSIBLE_{kind.upper()}_PLUGINS": str(configured / f"{kind}_plugins")
                for kind in ("action", "filter", "lookup", "test")
            }
        for path in (report, notes):
            path.unlink(missing_ok=True)
        cmdline = f"-i {self.root / 'project' / 'hosts.told.yml'}"
        job = make_job(self.root / "runs", str(self.playbook), {"report": str(report)}, env=env, cmdline=cmdline)
        result = await engine.run(job, lambda _event: None)
        assert result.succeeded, result.message
        return [*orjson.loads(report.read_bytes()), notes.read_text()]


@pytest.fixture(
    params=[
        pytest.param("play.yml", marks=pytest.mark.matrix),
        pytest.param("brings.yml", marks=pytest.mark.exhaustive),
    ]
)
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> Tree:
    return Tree(tmp_path / "tree", request.param)


@pytest.fixture
async def engine(tree: Tree) -> AsyncIterator[ForkserverEngine]:
    engine = ForkserverEngine(sources=tree.sources)
    await engine.start()
    yield engine
    await engine.stop()


def of_a_run(tree: Tree, told: list[str]) -> list[Path]:
    return [path for path, word in tree.words.items() if word in told]


async def test_the_next_run_uses_each_file_as_it_is_now(
    engine: ForkserverEngine, ordinary: SubprocessEngine, tree: Tree
) -> None:
    expected = await tree.told(ordinary)
    assert [await tree.told(engine) for _ in range(2)] == [expected] * 2, "the second uses what the first has kept"
    assert len(set(expected)) == len(expected), "each tells a word of its own"
    if tree.playbook.stem == "play":
        brought = [path for path in tree.words if "_plugins/" in str(path) or "/brings" in str(path)]
        assert set(of_a_run(tree, expected)) == set(tree.words) - set(brought), "no file is there in vain"
    stale = []
    for way in WAYS:
        for path in of_a_run(tree, expected):
            position = expected.index(tree.words[path])
            expected[position] = tree.change(path, way)
            if (await tree.told(engine))[position] != expected[position]:
                stale.append(f"{path.relative_to(tree.root)} {way.__name__}")
    assert stale == []
    assert await tree.told(ordinary) == expected


SHADOWS: dict[str, tuple[str, str]] = {
    "a collection in an earlier directory": (COLLECTION, "earlier/ansible_collections/zzz/mine"),
    "a collection beside the playbook": (COLLECTION, "project/collections/ansible_collections/zzz/mine"),
    "a package of module_utils": (
        f"{COLLECTION}/plugins/module_utils/word.py",
        f"{COLLECTION}/plugins/module_utils/word/__init__.py",
    ),
    "a module beside the playbook": ("configured/library/sub/configured.py", "project/library/configured.py"),
    "a filter beside the playbook": (
        "configured/filter_plugins/sub/configured.py",
        "project/filter_plugins/configured.py",
    ),
    "a role beside the playbook": (f"{COLLECTION}/roles/needed", "project/roles/needed"),
    "a directory of variables": ("project/group_vars/all.yml", "project/group_vars/all/all.yml"),
}
"""What hides something: the place of the original, and that of the copy, whose words are others."""


async def test_what_comes_to_hide_another_file_and_what_goes_is_noticed(
    engine: ForkserverEngine, ordinary: SubprocessEngine, tree: Tree
) -> None:
    without = await tree.told(engine)
    for name, (original, copy) in SHADOWS.items():
        hides(tree.root / original, tree.root / copy)
        told = await tree.told(engine)
        assert told == await tree.told(ordinary), name
        remove(tree.root / copy)
        assert await tree.told(engine) == without, name


def hides(original: Path, copy: Path) -> None:
    """Copy a file or a directory; what the copy tells is another word of as many letters."""
    copy.parent.mkdir(parents=True, exist_ok=True)
    if original.is_dir():
        shutil.copytree(original, copy)
    else:
        shutil.copy2(original, copy)
    for path in [copy, *copy.rglob("*.*")]:
        if path.is_file():
            state, text = path.stat(), path.read_text()
            path.write_text(re.sub(r"\bw(\d+)\b", lambda word: f"w{int(word[1]) + 500}", text))
            os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
        if not any(path.parent.iterdir()):
            path.parent.rmdir()
