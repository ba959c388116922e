"""No state of one run reaches another: runs that differ in one thing alternate, and each must see its own."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from reconcile_runner.execution.forkserver.engine import ForkserverEngine
from reconcile_runner.execution.job import Job
from reconcile_runner.execution.jobevent import JobEvent
from reconcile_runner.execution.pool import Engine
from tests.support.jobs import make_job
from tests.support.paths import TESTDATA

pytestmark = pytest.mark.timeout(180)

ISOLATION = TESTDATA / "isolation"
REPORTS = str(ISOLATION / "reports.yml")


@pytest.fixture
async def engine(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ForkserverEngine]:
    # `make test` names the project's own, which would come before a configuration in the directory of a run.
    monkeypatch.delenv("ANSIBLE_CONFIG", raising=False)
    engine = ForkserverEngine()
    await engine.start()
    yield engine
    await engine.stop()


def ignore(_event: JobEvent) -> None:
    pass


async def report(engine: Engine, job: Job, path: Path) -> dict[str, Any]:
    result = await engine.run(job, ignore)
    assert result.succeeded, result.message
    seen: dict[str, Any] = orjson.loads(path.read_bytes())
    return seen


class Runs:
    """Runs of one playbook that reports what it sees; each gets a file to report to."""

    def __init__(self, engine: ForkserverEngine, root: Path) -> None:
        self.engine = engine
        self.root = root
        self.path = root / "report.json"

    def job(self, extra_vars: dict[str, Any] | None = None, **settings: Any) -> Job:
        return make_job(self.root / "runs", REPORTS, {"report": str(self.path), **(extra_vars or {})}, **settings)

    async def seen(self, job: Job) -> dict[str, Any]:
        return await report(self.engine, job, self.path)


@pytest.fixture
def runs(engine: ForkserverEngine, tmp_path: Path) -> Runs:
    return Runs(engine, tmp_path)


async def test_extra_vars_and_facts(runs: Runs) -> None:
    for given in ({"first": "1"}, {"second": "2"}, {"first": "3"}, {}):
        seen = await runs.seen(runs.job(given))
        assert (seen["first"], seen["second"]) == (given.get("first", "unset"), given.get("second", "unset"))
        assert seen["kept"] == "unset", "a cacheable fact of another run"


async def test_environment(runs: Runs) -> None:
    for value in ("one", None, "two", "one"):
        seen = await runs.seen(runs.job(env={"ISOLATION": value} if value else {}))
        assert seen["variable"] == (value or "")
        assert seen["module"][2] == (value or "")


async def test_locale(runs: Runs) -> None:
    for locale in ("C.UTF-8", "POSIX", "C.UTF-8"):
        seen = await runs.seen(runs.job(env={"LC_NUMERIC": locale}))
        assert locale in seen["locale"]
        assert locale in seen["module"][3]


async def test_settings_in_the_environment(runs: Runs) -> None:
    for forks in ("7", "9", "7", None):
        seen = await runs.seen(runs.job(env={"ANSIBLE_FORKS": forks} if forks else {}))
        assert seen["config"].split()[0] == (forks or "5")


async def test_settings_in_a_file_that_changes(runs: Runs, tmp_path: Path) -> None:
    config = tmp_path / "ansible.cfg"
    for forks in ("7", "11", "13"):
        config.write_text(f"[defaults]\nforks = {forks}\n", encoding="utf-8")
        seen = await runs.seen(runs.job(env={"ANSIBLE_CONFIG": str(config)}))
        assert seen["config"].split()[0] == forks


async def test_a_list_of_plugins_that_are_not_to_be_used_is_read_again(
    engine: ForkserverEngine, tmp_path: Path
) -> None:
    config, unused, playbook = (tmp_path / name for name in ("ansible.cfg", "unused.yml", "play.yml"))
    config.write_text(f"[defaults]\nplugin_filters_cfg = {unused}\n", encoding="utf-8")
    playbook.write_text("- hosts: localhost\n  gather_facts: false\n  tasks: [ping: ]\n", encoding="utf-8")
    for module in ("ping", "copy", "ping"):
        unused.write_text(f"filter_version: '1.0'\nmodule_rejectlist: [{module}]\n", encoding="utf-8")
        result = await engine.run(make_job(tmp_path, str(playbook), env={"ANSIBLE_CONFIG": str(config)}), ignore)
        assert result.succeeded == (module != "ping"), result.message


async def test_a_role_may_lie_in_a_directory_of_collections(engine: ForkserverEngine, tmp_path: Path) -> None:
    role = tmp_path / "roles" / "lies"
    (role / "tasks").mkdir(parents=True)
    (role / "library").mkdir()
    (role / "tasks" / "main.yml").write_text("- tells:\n", encoding="utf-8")
    for word in ("first", "second"):
        module = f"from ansible.module_utils.basic import AnsibleModule\nAnsibleModule({{}}).fail_json(msg='{word}')\n"
        (role / "library" / "tells.py").write_text(module, encoding="utf-8")
        job = make_job(tmp_path / "runs", str(role), env={"ANSIBLE_COLLECTIONS_PATH": str(tmp_path)})
        assert (await engine.run(job, ignore)).failures[-1].message == word


async def test_a_configuration_in_the_directory_of_the_run(runs: Runs) -> None:
    job = runs.job()
    (job.private_data_dir / "project" / "ansible.cfg").write_text("[defaults]\nforks = 17\n", encoding="utf-8")
    seen = await runs.seen(job)
    assert seen["config"].split()[0] == "17"
    seen = await runs.seen(runs.job())
    assert seen["config"].split()[0] == "5"


async def test_inventory_and_directory(runs: Runs) -> None:
    for hosts in ("alpha", "beta", "alpha"):
        job = runs.job()
        line = f"{hosts} ansible_connection=local ansible_python_interpreter={sys.executable} of_host=of-{hosts}\n"
        (job.private_data_dir / "inventory" / "hosts").write_text(line, encoding="utf-8")
        seen = await runs.seen(job)
        assert (seen["hosts"], seen["of_host"]) == (hosts, f"of-{hosts}")
        assert seen["directory"] == str(job.private_data_dir / "project")


async def test_vault_secrets(runs: Runs, tmp_path: Path) -> None:
    from ansible.parsing.vault import VaultLib, VaultSecret  # noqa: PLC0415 - of the Ansible that is installed here

    for secret in ("one", "two", "one"):
        vault = VaultLib([("default", VaultSecret(secret.encode()))])
        locked = vault.encrypt(f"opened by {secret}").decode()
        job = runs.job()
        variables = tmp_path / "locked.yml"
        variables.write_text("locked: !vault |\n  " + locked.replace("\n", "\n  ") + "\n", encoding="utf-8")
        password = tmp_path / "password"
        password.write_text(secret, encoding="utf-8")
        options = f"-e @{variables} --vault-password-file {password}"
        (job.private_data_dir / "env" / "cmdline").write_text(options, encoding="utf-8")
        assert (await runs.seen(job))["secret"] == f"opened by {secret}"
    job = runs.job()
    (job.private_data_dir / "env" / "cmdline").write_text(f"-e @{variables}", encoding="utf-8")
    result = await runs.engine.run(job, ignore)
    assert not result.succeeded, "the secret of another run opened this one's"


async def test_umask(runs: Runs) -> None:
    before = os.umask(0o022)
    try:
        assert (await runs.seen(runs.job()))["module"][0] == "0022"
        os.umask(0o027)
        other = ForkserverEngine()
        await other.start()
        try:
            assert (await report(other, runs.job(), runs.path))["module"][0] == "0027"
        finally:
            await other.stop()
    finally:
        os.umask(before)


def write_role(role: Path, word: str) -> None:
    for name, text in {
        "tasks/main.yml": f"- told: {{word: task-{word}}}\n  register: answer\n- copy:\n    content: "
        '"{{ answer.said }} {{ told_default }} {{ 1 | told }}"\n    dest: "{{ report }}"\n    mode: "0600"\n',
        "defaults/main.yml": f"told_default: default-{word}\n",
        "library/told.py": "from ansible.module_utils.basic import AnsibleModule\n"
        "from ansible.module_utils.told_words import WORD\n"
        "module = AnsibleModule(argument_spec={'word': {}})\n"
        f"module.exit_json(said=module.params['word'] + ' module-{word} ' + WORD)\n",
        "module_utils/told_words.py": f"WORD = 'utils-{word}'\n",
        "filter_plugins/told.py": f"class FilterModule:\n    def filters(self):\n"
        f"        return {{'told': lambda value: 'filter-{word}'}}\n",
    }.items():
        path = role / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


async def test_files_of_a_role_that_is_edited(engine: ForkserverEngine, tmp_path: Path) -> None:
    role = tmp_path / "roles" / "told"
    for word in ("first", "second", "third"):
        write_role(role, word)
        path = tmp_path / "said"
        result = await engine.run(make_job(tmp_path, str(role), {"report": str(path)}), ignore)
        assert result.succeeded, result.message
        expected = f"task-{word} module-{word} utils-{word} default-{word} filter-{word}"
        assert path.read_text(encoding="utf-8") == expected


async def test_a_collection_that_is_edited(engine: ForkserverEngine, tmp_path: Path) -> None:
    plugins = tmp_path / "ansible_collections" / "my" / "own" / "plugins"
    for name in ("modules", "module_utils", "filter"):
        (plugins / name).mkdir(parents=True)
    playbook = tmp_path / "play.yml"
    playbook.write_text(
        "- hosts: localhost\n  gather_facts: false\n  tasks:\n    - my.own.told:\n      register: answer\n"
        '    - ansible.builtin.fail:\n        msg: "{{ answer.said }} {{ 1 | my.own.told }}"\n',
        encoding="utf-8",
    )
    for word in ("first", "second", "third"):
        (plugins / "modules" / "told.py").write_text(
            "from ansible.module_utils.basic import AnsibleModule\n"
            "from ansible_collections.my.own.plugins.module_utils.words import WORD\n"
            f"AnsibleModule(argument_spec={{}}).exit_json(said='module-{word} ' + WORD)\n",
            encoding="utf-8",
        )
        (plugins / "module_utils" / "words.py").write_text(f"WORD = 'utils-{word}'\n", encoding="utf-8")
        (plugins / "filter" / "told.py").write_text(
            f"class FilterModule:\n    def filters(self):\n        return {{'told': lambda value: 'filter-{word}'}}\n",
            encoding="utf-8",
        )
        job = make_job(tmp_path, str(playbook), env={"ANSIBLE_COLLECTIONS_PATH": str(tmp_path)})
        result = await engine.run(job, ignore)
        assert [failure.message for failure in result.failures] == [f"module-{word} utils-{word} filter-{word}"]


async def test_shared_code_of_a_role_hides_ansibles_for_its_own_run_alone(
    engine: ForkserverEngine, tmp_path: Path
) -> None:
    playbook = tmp_path / "play.yml"
    role = tmp_path / "roles" / "hides"
    (role / "tasks").mkdir(parents=True)
    (role / "module_utils").mkdir()
    (role / "tasks" / "main.yml").write_text("- ansible.builtin.ping:\n", encoding="utf-8")
    (role / "module_utils" / "basic.py").write_text("raise RuntimeError('hidden by the role')\n", encoding="utf-8")
    playbook.write_text("- hosts: localhost\n  gather_facts: false\n  tasks:\n    - ping:\n", encoding="utf-8")
    for _ in range(2):
        assert (await engine.run(make_job(tmp_path, str(playbook)), ignore)).succeeded
        hidden = await engine.run(make_job(tmp_path, str(role)), ignore)
        assert not hidden.succeeded, "the run took what another run had made of Ansible's code"


async def test_two_runs_at_once_do_not_meet(engine: ForkserverEngine, tmp_path: Path) -> None:
    async def one(word: str) -> dict[str, Any]:
        path = tmp_path / f"{word}.json"
        job = make_job(tmp_path / word, REPORTS, {"report": str(path), "first": word}, env={"ISOLATION": word})
        return await report(engine, job, path)

    words = ("a", "b", "c")
    for seen, word in zip(await asyncio.gather(*map(one, words)), words, strict=True):
        assert (seen["first"], seen["variable"]) == (word, word)
