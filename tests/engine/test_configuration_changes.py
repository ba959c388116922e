"""What is corrected in ``ansible.cfg`` while the operator runs counts in the next run, as for ``ansible-playbook``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reconcile_runner.execution.forkserver.engine import ForkserverEngine
from reconcile_runner.execution.pool import Engine, SubprocessEngine
from reconcile_runner.options import Options
from reconcile_runner.reconciler.environment import RunEnvironment
from tests.support.jobs import make_job

pytestmark = [pytest.mark.timeout(300), pytest.mark.exhaustive]

CONFIG = """
[defaults]
forks = {number}
timeout = {number}
callbacks_enabled = of_{name}
collections_path = {name}
filter_plugins = plugins/{name}/filters
hash_behaviour = {hash_behaviour}
library = plugins/{name}/modules
lookup_plugins = plugins/{name}/lookup
module_utils = plugins/{name}/utils
roles_path = {name}/roles
vars_plugins = plugins/{name}/vars
[inventory]
enable_plugins = {name}, yaml
[privilege_escalation]
become_user = {name}
"""
PLAY = """
- name: Tell the settings
  hosts: localhost
  gather_facts: false
  vars:
    wanted: [DEFAULT_FORKS, DEFAULT_TIMEOUT, CALLBACKS_ENABLED, COLLECTIONS_PATHS,
      DEFAULT_FILTER_PLUGIN_PATH, DEFAULT_HASH_BEHAVIOUR, DEFAULT_MODULE_PATH, DEFAULT_LOOKUP_PLUGIN_PATH,
      DEFAULT_MODULE_UTILS_PATH, DEFAULT_ROLES_PATH, DEFAULT_VARS_PLUGIN_PATH, INVENTORY_ENABLED, DEFAULT_BECOME_USER]
  tasks:
    - name: Tell them
      ansible.builtin.copy:
        content: "{{ dict(wanted | zip(query('ansible.builtin.config', *wanted))) | to_json }}"
        dest: "{{ seen }}"
        mode: "0600"
    - name: Use a collection, a filter and a module
      mine.own.hello:
      vars: {word: "{{ 'x' | said }}"}
    - name: Say what they said
      said:
        by: "{{ 'x' | said }}"
        seen: "{{ seen }}"
"""
MODULE = """
from ansible.module_utils.basic import AnsibleModule
module = AnsibleModule({"by": {"type": "str"}, "seen": {"type": "str"}})
open(module.params["seen"] + ".said", "w").write("NAME " + module.params["by"])
module.exit_json()
"""
HELLO = """
from ansible.module_utils.basic import AnsibleModule
AnsibleModule({}).exit_json()
"""
FILTERS = """
class FilterModule:
    def filters(self):
        return {"said": lambda value: "NAME"}
"""


def write_config(directory: Path, name: str) -> None:
    number, hash_behaviour = {"right": (7, "merge"), "other": (11, "replace")}[name]
    (directory / "ansible.cfg").write_text(CONFIG.format(name=name, number=number, hash_behaviour=hash_behaviour))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Return an operator's working directory with two places for everything, ``right`` and ``other``."""
    made = tmp_path / "operator"
    for name in ("right", "other"):
        modules = made / name / "ansible_collections" / "mine" / "own" / "plugins" / "modules"
        plugins = made / "plugins" / name
        for path in (modules, plugins / "modules", plugins / "filters"):
            path.mkdir(parents=True)
        (modules / "hello.py").write_text(HELLO)
        (plugins / "modules" / "said.py").write_text(MODULE.replace("NAME", name))
        (plugins / "filters" / "words.py").write_text(FILTERS.replace("NAME", name))
    (made / "play.yml").write_text(PLAY)
    return made


async def told(
    engine: Engine, root: Path, directory: Path, environment: RunEnvironment
) -> tuple[dict[str, object], str]:
    """Return the settings as a run sees them, and what its module and its filter say."""
    seen = root / "seen.json"
    job = make_job(root, str(directory / "play.yml"), {"seen": str(seen)}, env=environment.variables())
    result = await engine.run(job, lambda _event: None)
    assert result.succeeded, result.message
    settings: dict[str, object] = json.loads(seen.read_bytes())
    return settings, (root / "seen.json.said").read_text()


async def test_each_setting_counts_in_the_next_run_as_for_a_new_ansible_playbook(
    engine: ForkserverEngine, ordinary: SubprocessEngine, tmp_path: Path, directory: Path
) -> None:
    environment = RunEnvironment(Options(), {}, directory)
    before: dict[str, object] = {}
    for name in ("other", "right", "other"):
        write_config(directory, name)
        settings, said = await told(engine, tmp_path / "forked", directory, environment)
        assert said == f"{name} {name}"
        assert (settings, said) == await told(ordinary, tmp_path / "plain", directory, environment)
        assert [setting for setting in settings if settings[setting] == before.get(setting)] == []
        before = settings
