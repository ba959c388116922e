"""What a zygote holds, when it is used, and who is whose parent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from reconcile_runner.execution.forkserver.engine import ForkserverEngine
from reconcile_runner.execution.job import RunResult
from reconcile_runner.execution.pool import SubprocessEngine
from tests.engine.test_execution_processes import children, eventually
from tests.engine.test_forkserver_deaths import works, zygote
from tests.support.jobs import make_job
from tests.support.paths import TESTDATA

pytestmark = pytest.mark.timeout(180)

PARENTS = str(TESTDATA / "parents" / "parents.yml")
WHERE = {"ANSIBLE_LIBRARY": str(TESTDATA / "isolation" / "library")}
LOADED = "ansible_collections/operator_sdk/util/plugins/module_utils/loaded.py"
"""A file that a zygote loads ahead, if it is there."""


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


async def run(engine: ForkserverEngine | SubprocessEngine, root: Path, playbook: str, **env: str) -> RunResult:
    return await engine.run(make_job(root / "runs", playbook, env=env), lambda _event: None)


async def test_a_zygote_has_one_thread_and_no_child_between_runs(engine: ForkserverEngine, tmp_path: Path) -> None:
    for _ in range(2):
        assert await works(engine, tmp_path)
        await eventually(lambda: not children(zygote(engine)), "the run's supervisor has been reaped")
        assert len(list(Path(f"/proc/{zygote(engine)}/task").iterdir())) == 1


async def test_a_run_whose_zygote_has_started_a_thread_is_an_ansible_playbook(
    engine: ForkserverEngine, tmp_path: Path
) -> None:
    thread = "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    write(tmp_path, {LOADED: thread})
    # Else the zygote's own bytecode changes the collection's directory, and another one is started for it.
    env = {"ANSIBLE_COLLECTIONS_PATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    with capture_logs() as lines:
        assert (await run(engine, tmp_path, "ok.yml", **env)).succeeded
    (line,) = [line for line in lines if line["log_level"] == "warning"]
    assert line["event"] == "fork server not used for this environment"
    assert line["reason"] == "2 threads run after Ansible was loaded"


async def test_a_run_whose_zygote_cannot_load_ansible_is_an_ansible_playbook(
    engine: ForkserverEngine, ordinary: SubprocessEngine, tmp_path: Path
) -> None:
    config = tmp_path / "ansible.cfg"
    config.write_text("[defaults]\nforks = none\n")
    with capture_logs() as lines:
        forked = await run(engine, tmp_path, "ok.yml", ANSIBLE_CONFIG=str(config))
    assert [line["event"] for line in lines if line["log_level"] == "warning"] == [
        "fork server not used for this environment"
    ]
    assert forked.message == (await run(ordinary, tmp_path, "ok.yml", ANSIBLE_CONFIG=str(config))).message


async def test_packages_that_a_zygote_has_loaded_are_read_again_by_the_next_and_others_by_each_run(
    engine: ForkserverEngine, tmp_path: Path
) -> None:
    write(tmp_path, {
        LOADED: "from told_ahead import WORD\n",
        "play.yml": "- hosts: localhost\n  gather_facts: false\n  tasks: [{tells: , register: told}, "
        "{fail: {msg: '{{ told.words }}'}}]\n",
        "library/tells.py": "from ansible.module_utils.basic import AnsibleModule\nimport told_ahead, told_late\n"
        "AnsibleModule({}).exit_json(words=[told_ahead.WORD, told_late.WORD])\n",
    })  # fmt: skip
    told = []
    for number, environment in enumerate(["one", "one", "two"]):
        write(tmp_path, {f"path/{name}.py": f"WORD = {number}\n" for name in ("told_ahead", "told_late")})
        env = {"ANSIBLE_COLLECTIONS_PATH": str(tmp_path), "PYTHONPATH": str(tmp_path / "path"), "ANY": environment}
        result = await run(engine, tmp_path, str(tmp_path / "play.yml"), PYTHONDONTWRITEBYTECODE="1", **env)
        told.append(result.failures[-1].message)
    assert told == ["[0, 0]", "[0, 1]", "[2, 2]"]


async def test_the_parent_of_a_module_is_the_supervisor_and_that_of_a_lookups_program_a_fork_of_the_play(
    engine: ForkserverEngine, tmp_path: Path
) -> None:
    seen: dict[str, Any] = {}
    report = tmp_path / "report.json"
    for kind in ("first", "second"):
        result = await engine.run(
            make_job(tmp_path / "runs", PARENTS, {"report": str(report)}, env=WHERE), lambda _event: None
        )
        assert result.succeeded, result.message
        seen[kind] = orjson.loads(report.read_bytes())
    for each in seen.values():
        assert each["module"] == each["grandparent"], "the play and its modules have one parent"
        assert each["commands"] == [each["zygote"]] * 2, "as `ps` shows them"
    assert seen["first"]["module"] != seen["second"]["module"]
