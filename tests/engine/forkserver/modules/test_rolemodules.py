"""The modules that roles and playbooks name have their zips made ahead, and nothing in a file is in the way of it."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from reconcile_runner.execution.forkserver.modules import payloads, rolemodules
from tests.support import fresh


def made(root: str, sources: list[str]) -> Any:
    """Make the zips of the modules that are named below the sources; return the names of the modules."""
    fresh.load_ansible()
    directory, published = Path(root) / "payloads", Path(root) / "published"
    published.mkdir()
    own = Path(importlib.import_module("ansible").__path__[0])
    payloads.install(directory, published, [own])
    rolemodules.make_archives(Path(root) / source for source in sources)
    return sorted({path.name.partition("-")[0].rpartition(".")[2] for path in directory.iterdir()})


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def test_tasks_and_handlers_of_a_role_are_read_in_every_file(tmp_path: Path) -> None:
    files = {
        "role/tasks/main.yml": "- ansible.builtin.ping:\n- name: no module\n",
        "role/tasks/below/more.yaml": "- stat: {path: /}\n",
        "role/tasks/lines.json": '[{"ansible.legacy.slurp": {"src": "/"}}]',
        "role/tasks/without_suffix": "- getent: {database: passwd}\n",
        "role/handlers/main.yml": "- find: {paths: /}\n",
    }
    write(tmp_path, files)
    assert fresh.call_with_ansible(made, str(tmp_path), ["role"]) == ["find", "getent", "ping", "slurp", "stat"]


def test_blocks_are_read_to_the_bottom(tmp_path: Path) -> None:
    text = "- block:\n  - block: [ping: ]\n    rescue: [stat: {path: /}]\n  always: [find: {paths: /}]\n"
    write(tmp_path, {"role/tasks/main.yml": text})
    assert fresh.call_with_ansible(made, str(tmp_path), ["role"]) == ["find", "ping", "stat"]


def test_all_tasks_of_a_playbook_are_read(tmp_path: Path) -> None:
    play = "- hosts: all\n  pre_tasks: [ping: ]\n  tasks: [stat: {path: /}]\n"
    play += "  post_tasks: [find: {paths: /}]\n  handlers: [getent: {database: passwd}]\n"
    write(tmp_path, {"play.yml": play})
    assert fresh.call_with_ansible(made, str(tmp_path), ["play.yml"]) == ["find", "getent", "ping", "stat"]


def test_only_files_of_tasks_are_read(tmp_path: Path) -> None:
    task = "- ping:\n"
    files = {
        "role/vars/main.yml": task,
        "role/tasks/README.md": task,
        "role/templates/tasks.yml": task,
        "main.yml": task,
    }
    write(tmp_path, files)
    assert fresh.call_with_ansible(made, str(tmp_path), ["role", "missing"]) == []


def test_what_cannot_be_read_is_left_to_the_run_that_needs_it(tmp_path: Path) -> None:
    files = {
        "role/tasks/broken.yml": "- [",
        "role/tasks/secret.yml": "$ANSIBLE_VAULT;1.1;AES256\n6162\n",
        "role/tasks/a_string.yml": "only text",
        "role/tasks/items.yml": "- text\n- 1\n- [ping]\n- block: text\n- 1: 2\n",
        "role/tasks/unknown.yml": "- my.own.unknown:\n- no_such_module:\n- include_tasks: more.yml\n- debug:\n",
        "role/tasks/z_good.yml": "- ping:\n",
    }
    write(tmp_path, files)
    (tmp_path / "role/tasks/binary.yml").write_bytes(b"\xff\0")
    (tmp_path / "role/tasks/nowhere.yml").symlink_to(tmp_path / "nowhere")
    (tmp_path / "role/tasks/directory.yml").mkdir()
    assert fresh.call_with_ansible(made, str(tmp_path), ["role"]) == ["ping"]  # debug has no module of its own


def test_nothing_in_a_task_is_run_or_filled_in(tmp_path: Path) -> None:
    template = "{{ lookup('pipe', 'touch " + str(tmp_path / "ran") + "') }}"
    task = {"role/tasks/main.yml": f'- ping: "{template}"\n  name: "{template}"\n  when: "{template}"\n'}
    write(tmp_path, task)
    assert fresh.call_with_ansible(made, str(tmp_path), ["role"]) == ["ping"]
    assert not (tmp_path / "ran").exists()
