"""What Ansible's configuration depends on."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

import pytest

from reconcile_runner.execution.forkserver import configuration
from reconcile_runner.execution.forkserver.configuration import (
    collection_files,
    config_files,
    needs_directory,
    state_of,
)


class Config:
    """As much of Ansible's ``ConfigManager`` as is looked at."""

    def __init__(self, file: Path | None = None) -> None:
        self._config_file = file

    def get_configuration_definitions(self) -> dict[str, dict[str, Any]]:
        return {
            "DEFAULT_ROLES_PATH": {"type": "pathspec", "env": [{"name": "ANSIBLE_ROLES_PATH"}]},
            "DEFAULT_MODULE_PATH": {"type": "pathspec", "env": [{"name": "ANSIBLE_LIBRARY"}]},
            "DEFAULT_FORKS": {"type": "integer", "env": [{"name": "ANSIBLE_FORKS"}]},
        }


def test_a_missing_file_has_a_state_of_its_own(tmp_path: Path) -> None:
    assert state_of(str(tmp_path / "nothing")) == (0, 0, 0)


def test_the_chosen_configuration_is_looked_at(tmp_path: Path) -> None:
    chosen = tmp_path / "my.cfg"
    before = config_files({"ANSIBLE_CONFIG": str(chosen)})
    assert before[str(chosen)] == (0, 0, 0)
    chosen.write_text("[defaults]\n", encoding="utf-8")
    assert config_files({"ANSIBLE_CONFIG": str(chosen)}) != before


def test_a_plugin_that_is_added_edited_or_removed_shows(tmp_path: Path) -> None:
    plugins = tmp_path / "ansible_collections" / "my" / "own" / "plugins" / "modules"
    plugins.mkdir(parents=True)
    states = [collection_files([tmp_path])]
    (plugins / "one.py").write_text("1", encoding="utf-8")
    states.append(collection_files([tmp_path]))
    (plugins / "one.py").write_text("22", encoding="utf-8")
    states.append(collection_files([tmp_path]))
    (plugins / "one.py").unlink()
    states.append(collection_files([tmp_path]))
    assert all(one != other for one, other in itertools.pairwise(states))


def test_what_python_caches_does_not_show(tmp_path: Path) -> None:
    cache = tmp_path / "ansible_collections" / "my" / "own" / "plugins" / "modules" / "__pycache__"
    cache.mkdir(parents=True)
    before = collection_files([tmp_path])
    (cache / "one.pyc").write_bytes(b"1")
    assert collection_files([tmp_path]) == before


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, False),
        ({"ANSIBLE_LIBRARY": "/absolute:~/home"}, False),
        ({"ANSIBLE_LIBRARY": "/absolute:relative"}, True),
        ({"ANSIBLE_ROLES_PATH": "relative"}, False),
        ({"ANSIBLE_FORKS": "5"}, False),
    ],
    ids=str,
)
def test_a_relative_path_depends_on_the_directory(environment: dict[str, str], *, expected: bool) -> None:
    assert needs_directory(Config(), environment) is expected


def test_a_configuration_that_names_the_directory_depends_on_it(tmp_path: Path) -> None:
    file = tmp_path / "ansible.cfg"
    file.write_text("[defaults]\nroles_path = {{CWD}}/roles\n", encoding="utf-8")
    assert needs_directory(Config(file), {})


def test_a_file_in_place_of_another_shows_even_with_its_time_and_size(tmp_path: Path) -> None:
    file, new = tmp_path / "file", tmp_path / "new"
    file.write_text("1", encoding="utf-8")
    before, state = file.stat(), state_of(str(file))
    new.write_text("2", encoding="utf-8")
    os.utime(new, ns=(before.st_atime_ns, before.st_mtime_ns))
    new.rename(file)
    assert file.stat().st_mtime_ns == before.st_mtime_ns
    assert state_of(str(file)) != state


def test_metadata_shows_behind_any_number_of_plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configuration, "_MAX_FILES", 1)
    metadata = tmp_path / "ansible_collections" / "my" / "own" / "meta" / "runtime.yml"
    metadata.parent.mkdir(parents=True)
    metadata.touch()
    assert str(metadata) in collection_files([tmp_path])
