"""What runs leave for later ones changes how soon they are done, and nothing else that anybody sees of them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.vault import VaultLib, VaultSecret

from reconcile_runner.execution.forkserver.engine import ForkserverEngine
from reconcile_runner.execution.job import Job, RunResult
from tests.engine.test_execution_processes import children, eventually
from tests.engine.test_forkserver_corpus import lines
from tests.engine.test_forkserver_deaths import zygote
from tests.support import cores, jobevents
from tests.support.jobs import make_job

pytestmark = pytest.mark.timeout(180)

COLLECTION = "ansible_collections/my/own/plugins"
FILES = {
    f"{COLLECTION}/modules/where.py": "import sys\n"
    "from ansible.module_utils.basic import AnsibleModule\n"
    "from ansible_collections.my.own.plugins.module_utils.words import WORD\n"
    "AnsibleModule(argument_spec={}).exit_json(place=sys.path[0], word=WORD)\n",
    f"{COLLECTION}/module_utils/words.py": "WORD = 'utils-first'\n",
    "roles/told/tasks/main.yml": "- ansible.builtin.include_vars: {file: more.yml, name: more}\n"
    "- my.own.where:\n  register: here\n"
    "- ansible.builtin.set_fact:\n"
    '    told: "task-first {{ told_default }} {{ told_var }} {{ more.word }} {{ here.word }}"\n'
    "- ansible.builtin.debug: {msg: \"{{ lookup('ansible.builtin.template', 'told.j2') }}\"}\n"
    "  when: told | length > 1\n"
    '- ansible.builtin.debug: {msg: "{{ item | upper }} {{ missing }}"}\n  loop: "{{ more.list }}"\n'
    "  ignore_errors: true\n"
    "- ansible.builtin.fail: {msg: \"{{ lookup('ansible.builtin.template', 'told.j2') | trim }}\"}\n",
    "roles/told/templates/told.j2": "{% for each in more.list %}{{ each }}{% endfor %} template-first {{ told }}\n",
    "roles/told/defaults/main.yml": "told_default: default-first\n",
    "roles/told/vars/main.yml": "told_var: var-first\n",
    "roles/told/vars/more.yml": "word: more-zero\nlist: [a, b]\nword: more-first\n",
}
"""A role, with a module of a collection; one of its files has a key twice, which Ansible warns of."""

WARNING = "found a duplicate dict key" if cores.IS_BEFORE_219 else "Found duplicate mapping key"


def write(root: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def edit(root: Path, name: str, before: str, after: str) -> None:
    """Edit a file of a role so that only its bytes tell."""
    path = root / name
    state = path.stat()
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_text(text.replace(before, after), encoding="utf-8")
    if name.startswith("roles/"):
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
        assert (path.stat().st_mtime_ns, path.stat().st_size) == (state.st_mtime_ns, state.st_size)


class Runs:
    """Runs of one role, each when the zygote has learned from the one before."""

    def __init__(self, engine: ForkserverEngine, root: Path) -> None:
        self.engine = engine
        self.root = root

    def job(self, role: str = "told", **settings: Any) -> Job:
        env = {"ANSIBLE_COLLECTIONS_PATH": str(self.root)}
        return make_job(self.root / "runs", str(self.root / "roles" / role), env=env, **settings)

    async def run(self, job: Job) -> tuple[RunResult, list[dict[str, Any]]]:
        """Return a run's result and its events, when what it left has been taken."""
        result = await self.engine.run(job, lambda _event: None)
        await eventually(lambda: not children(zygote(self.engine)), "the run's supervisor has been reaped")
        await eventually(lambda: self.waiting() == [], "what the run published has been taken")
        files = (job.private_data_dir / "artifacts" / job.ident / "job_events").glob("*.json")
        return result, sorted((json.loads(path.read_bytes()) for path in files), key=lambda each: int(each["counter"]))

    async def told(self) -> str:
        """Run the role and return the message that it ends with."""
        result, _ = await self.run(self.job())
        return result.failures[-1].message

    def waiting(self) -> list[str]:
        """Return what was published and not taken."""
        directory = self.engine._home / f"payloads-{zygote(self.engine)}" / "published"
        return [path.name for path in directory.iterdir()]

    def learned(self) -> int:
        """Return how many modules were made ready in the zygote that serves now."""
        directory = self.engine._home / f"payloads-{zygote(self.engine)}"
        return len(list(directory.glob("archive_*_payload.zip")))


@pytest.fixture
async def runs(tmp_path: Path) -> AsyncIterator[Runs]:
    engine = ForkserverEngine()
    await engine.start()
    yield Runs(engine, tmp_path)
    await engine.stop()


def place(events: list[dict[str, Any]]) -> str:
    """Return where the module of the collection was imported from."""
    results = [event.get("event_data", {}).get("res", {}) for event in events]
    (found,) = {result["place"] for result in results if "place" in result}
    return str(found)


async def test_a_run_that_uses_what_was_learned_tells_what_the_first_told(runs: Runs) -> None:
    write(runs.root, FILES)
    told, places = [], []
    for _ in range(3):
        job = runs.job()
        result, events = await runs.run(job)
        places.append(Path(place(events)))
        text = re.sub(
            r'[^"]*_payload\.zip', "ZIP", "\n".join(lines([jobevents.masked(each, runs.root, job) for each in events]))
        )
        told.append([text.splitlines(), result.status, result.stats, [each.message for each in result.failures]])
    assert told[1] == told[0]
    assert told[2] == told[0]
    assert WARNING in str(told[0][0]), "a warning is part of what is compared"
    payloads = runs.engine._home / f"payloads-{zygote(runs.engine)}"
    assert places[0].parent != payloads, "the first run brings its module along"
    assert places[1] == places[2]
    assert places[1].parent == payloads, "the others find it made ready"


async def test_modules_that_a_role_names_are_ready_for_the_first_run(tmp_path: Path) -> None:
    write(tmp_path, FILES)
    engine = ForkserverEngine(sources=(tmp_path / "roles" / "told",))
    await engine.start()
    try:
        runs = Runs(engine, tmp_path)
        _, events = await runs.run(runs.job())
        assert Path(place(events)).parent == engine._home / f"payloads-{zygote(engine)}"
    finally:
        await engine.stop()


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("roles/told/tasks/main.yml", "task"),
        ("roles/told/templates/told.j2", "template"),
        ("roles/told/defaults/main.yml", "default"),
        ("roles/told/vars/main.yml", "var"),
        ("roles/told/vars/more.yml", "more"),
        (f"{COLLECTION}/module_utils/words.py", "utils"),
    ],
    ids=lambda value: value if "/" not in value else "",
)
async def test_an_edit_is_honoured_by_the_next_run_after_learning(runs: Runs, name: str, word: str) -> None:
    write(runs.root, FILES)
    expected = "ab template-first task-first default-first var-first more-first utils-first"
    assert [await runs.told() for _ in range(2)] == [expected] * 2
    assert runs.learned() > 0
    edit(runs.root, name, f"{word}-first", f"{word}-other")
    edited = expected.replace(f"{word}-first", f"{word}-other")
    assert [await runs.told() for _ in range(2)] == [edited] * 2
    edit(runs.root, name, f"{word}-other", f"{word}-first")
    assert await runs.told() == expected


def locked(text: str, secret: str) -> str:
    return str(VaultLib([("default", VaultSecret(secret.encode()))]).encrypt(text).decode())


async def test_what_a_vault_secret_opened_is_not_there_for_a_run_with_another(runs: Runs) -> None:
    write(runs.root, {
        "roles/opens/vars/main.yml": "value: !vault |\n  " + locked("value-one", "one").replace("\n", "\n  ") + "\n",
        "roles/opens/vars/whole.yml": locked("whole: whole-one\n", "one"),
        "roles/opens/tasks/main.yml": '- ansible.builtin.fail: {msg: "{{ value }}"}\n  ignore_errors: true\n'
        "- ansible.builtin.include_vars: whole.yml\n  ignore_errors: true\n"
        "- ansible.builtin.fail: {msg: \"{{ whole | default('closed') }}\"}\n",
        "one": "one", "two": "two",
    })  # fmt: skip
    for secret in ("one", "one", "two", "one", "two"):
        _, events = await runs.run(runs.job("opens", cmdline=f"--vault-password-file {runs.root}/{secret}"))
        opened = [word in json.dumps(events) for word in ("value-one", "whole-one")]
        assert opened == [secret == "one"] * 2
    _, events = await runs.run(runs.job("opens"))
    assert "value-one" not in json.dumps(events)


async def test_what_cannot_be_compiled_fails_its_own_task_in_each_run(runs: Runs) -> None:
    digits, loops = "1" + "0" * 5000, "{% for a in [1] %}" * 25 + "{% endfor %}" * 25
    write(runs.root, {
        "roles/breaks/tasks/main.yml": f'- ansible.builtin.debug: {{msg: "{{{{ {digits} }}}}"}}\n'
        "  ignore_errors: true\n"
        f'- ansible.builtin.debug: {{msg: "{loops}"}}\n  ignore_errors: true\n'
        '- ansible.builtin.include_vars: {file: "{{ role_path }}/broken.yml"}\n  ignore_errors: true\n',
        "roles/breaks/broken.yml": "a: [\n",
    })  # fmt: skip
    counts, zygotes = [], set()
    for _ in range(3):
        _, events = await runs.run(runs.job("breaks"))
        counts.append(sum(event["event"] == "runner_on_failed" for event in events))
        zygotes.add(zygote(runs.engine))
    # Before ansible-core 2.19 the number, which Python does not read, is taken for text.
    assert counts == [2 if cores.IS_BEFORE_219 else 3] * 3
    assert len(zygotes) == 1, "the zygote that learned is alive"


@pytest.mark.exhaustive
async def test_a_module_that_outlives_its_task_does_not_end_the_run(runs: Runs) -> None:
    write(runs.root, {
        "roles/waits/tasks/main.yml": "- ansible.builtin.command: sleep 3\n  timeout: 1\n  ignore_errors: true\n"
        "- ansible.builtin.command: sleep 4\n"
        "- ansible.builtin.command: echo went on\n  register: said\n"
        '- ansible.builtin.fail: {msg: "{{ said.stdout }}"}\n',
    })  # fmt: skip
    result, _ = await runs.run(runs.job("waits"))
    assert result.failures[-1].message == "went on"
