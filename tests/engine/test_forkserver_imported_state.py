"""What is computed when a library is imported is a run's own, whichever process imported the library first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from reconcile_runner.execution.forkserver.engine import ForkserverEngine
from reconcile_runner.execution.pool import Engine, SubprocessEngine
from tests.support.jobs import make_job
from tests.support.paths import TESTDATA

pytestmark = pytest.mark.timeout(180)

ISOLATION = TESTDATA / "isolation"


async def report(engine: Engine, root: Path, playbook: str, **settings: Any) -> dict[str, Any]:
    path = root / "report.json"
    job = make_job(root, str(ISOLATION / playbook), {"report": str(path)}, **settings)
    result = await engine.run(job, lambda _event: None)
    assert result.succeeded, result.message
    seen: dict[str, Any] = orjson.loads(path.read_bytes())
    return seen


async def test_a_library_takes_the_kubeconfig_of_the_run_and_six_makes_its_names(
    engine: ForkserverEngine, ordinary: SubprocessEngine, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        seen = await report(engine, tmp_path / name, "imported.yml")
        assert seen == await report(ordinary, tmp_path / name, "imported.yml")
        assert seen["default"] == seen["play"] == str(next((tmp_path / name).rglob("kubeconfig")))
        assert seen["of_task"] == "/of/the/task"
        assert seen["moves"] == [True, "configparser", "a%20b"]


async def test_lines_of_a_run_are_in_its_log_file_and_nowhere_else(
    engine: ForkserverEngine, ordinary: SubprocessEngine, tmp_path: Path
) -> None:
    logged = {}
    for name, each in (("forked", engine), ("ordinary", ordinary)):
        path = tmp_path / f"{name}.log"
        printed: list[str] = []
        job = make_job(tmp_path / name, "loop_fails.yml", env={"ANSIBLE_LOG_PATH": str(path)})
        for _ in range(2):
            await each.run(job, lambda event, printed=printed: printed.append(event.stdout))  # type: ignore[misc]
        assert "Logging error" not in "".join(printed)
        logged[name] = [line.split("| ", 1)[-1] for line in path.read_text().splitlines()]
    assert logged["forked"]
    assert logged["forked"] == logged["ordinary"]


@pytest.mark.parametrize("kind", ["filter", "test"])
async def test_plugins_of_a_configured_directory_are_read_in_each_run(
    kind: str, engine: ForkserverEngine, tmp_path: Path
) -> None:
    directory = tmp_path / "plugins"
    for number in (1, 2, 3):
        if number > 1:  # made after the engine has loaded Ansible for the first run
            directory.mkdir(exist_ok=True)
            returned = f"{{'edited': lambda value: value == {number}}}"
            plugin = f"class {kind.title()}Module:\n    def {kind}s(self):\n        return {returned}\n"
            (directory / "edited.py").write_text(plugin)
        mapped = "map('edited') | list == [true]" if kind == "filter" else f"select('edited') | list == [{number}]"
        playbook = tmp_path / "play.yml"
        task = {"ansible.builtin.assert": {"that": f"[{number}] | {mapped}"}}
        playbook.write_bytes(orjson.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": [task]}]))
        job = make_job(tmp_path / "runs", str(playbook), env={f"ANSIBLE_{kind.upper()}_PLUGINS": str(directory)})
        result = await engine.run(job, lambda _event: None)
        assert result.succeeded == (number > 1), (number, result.message)


async def test_an_edited_module_is_noticed_behind_thousands_of_other_files(
    engine: ForkserverEngine, tmp_path: Path
) -> None:
    root = tmp_path / "collections"
    many = root / "ansible_collections" / "aaa" / "big" / "plugins" / "modules"
    many.mkdir(parents=True)
    for number in range(5100):
        (many / f"m{number}.py").touch()
    plugins = root / "ansible_collections" / "zzz" / "mine" / "plugins"
    for name in ("modules", "module_utils", "filter"):
        (plugins / name).mkdir(parents=True)
    playbook = tmp_path / "play.yml"
    seen = "[module.module, module.util, 1 | zzz.mine.edited]"
    tasks = [
        {"zzz.mine.edited": {}, "register": "module"},
        {
            "ansible.builtin.copy": {
                "content": f"{{{{ {seen} | to_json }}}}",
                "dest": str(tmp_path / "seen"),
                "mode": "0600",
            }
        },
    ]
    playbook.write_bytes(orjson.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
    for word in ("one", "two", "six", "ten"):
        _write_plugins(plugins, word)
        for _ in range(2):  # the second run takes what the first has kept
            job = make_job(tmp_path / "runs", str(playbook), env={"ANSIBLE_COLLECTIONS_PATH": str(root)})
            result = await engine.run(job, lambda _event: None)
            assert result.succeeded, result.message
            assert orjson.loads((tmp_path / "seen").read_bytes()) == [word] * 3


def _write_plugins(plugins: Path, word: str) -> None:
    """Write a module, what it imports, and a filter, all of which tell a word."""
    (plugins / "module_utils" / "word.py").write_text(f"WORD = {word!r}\n")
    (plugins / "modules" / "edited.py").write_text(
        "from ansible.module_utils.basic import AnsibleModule\n"
        "from ansible_collections.zzz.mine.plugins.module_utils.word import WORD\n"
        f"AnsibleModule({{}}).exit_json(module={word!r}, util=WORD)\n"
    )
    returned = f"{{'edited': lambda value: {word!r}}}"
    (plugins / "filter" / "edited.py").write_text(
        f"class FilterModule:\n    def filters(self):\n        return {returned}\n"
    )
