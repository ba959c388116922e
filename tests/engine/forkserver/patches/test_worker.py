"""Which tasks need a process of their own, and that a task that has none leaves the play as it was."""

from __future__ import annotations

import importlib
import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from reconcile_runner.execution.forkserver.patches import worker
from reconcile_runner.execution.forkserver.patches.plugins import OwnPlugins
from tests.support import cores, fresh

pytestmark = cores.of_219

LOCAL = "ansible_connection=local ansible_python_interpreter='{{ ansible_playbook_python }}'"
ACTION = """
from ansible.plugins.action import ActionBase
class ActionModule(ActionBase):
    def run(self, tmp=None, task_vars=None):
        return {'said': 'of its own action'}
"""
MODULE = "from ansible.module_utils.basic import AnsibleModule\nAnsibleModule(argument_spec={}).exit_json()\n"
FILTER = "class FilterModule:\n    def filters(self):\n        return {'own': str}\n"
TEST = "class TestModule:\n    def tests(self):\n        return {'own': bool}\n"
LOOKUP = (
    "from ansible.plugins.lookup import LookupBase\nclass LookupModule(LookupBase):\n"
    "    def run(self, terms, variables=None, **kwargs):\n        return terms\n"
)

KINDS = """
- hosts: localhost
  gather_facts: false
  vars: {yes_: true, nothing: null}
  tasks:
    - {name: plain, debug: {msg: hello}}
    - {name: module, ping: , when: false}
    - {name: full name, ansible.builtin.ping: , when: false}
    - {name: conditional, debug: {msg: hello}, when: not yes_}
    - {name: until, debug: {msg: hello}, until: true, retries: 1, delay: 0}
    - {name: ignored, fail: , ignore_errors: true}
    - {name: loop, debug: {msg: hello}, loop: [1]}
    - {name: empty loop, debug: {msg: hello}, loop: []}
    - {name: with_items, debug: {msg: hello}, with_items: [1]}
    - {name: async, ping: , async: 10, poll: 1, when: false}
    - {name: become, ping: , become: true, when: false}
    - {name: delegate_to, ping: , delegate_to: localhost, when: false}
    - {name: local_action, local_action: ping, when: false}
    - {name: timeout, ping: , timeout: 20, when: false}
    - {name: pause, pause: {seconds: 1}, when: false}
    - {name: pause by its full name, ansible.builtin.pause: {seconds: 1}, when: false}
    - {name: group, group_by: {key: made}, when: false}
    - {name: host, ansible.builtin.add_host: {name: other}, when: false}
    - {name: wait, wait_for_connection: , when: false}
    - {name: other connection, ping: , vars: {ansible_connection: ssh}, when: false}
    - {name: templated connection, ping: , vars: {ansible_connection: "{{ 'local' }}"}, when: false}
    - {name: own action, acts: , when: false}
    - {name: own module, own_module: , when: false}
    - block:
        - {name: in a block that becomes, ping: , when: false}
      become: true
    - block:
        - {name: rescued, fail: }
      rescue:
        - {name: rescuing, debug: {msg: "{{ ansible_failed_task.name }}"}}
      always:
        - {name: always, debug: {msg: hello}}
    - {name: notifies, debug: {msg: x}, changed_when: true, notify: handled}
    - {name: once, debug: {msg: hello}, run_once: true}
  handlers:
    - {name: handled, debug: {msg: hello}}
"""
HERE = {
    "plain", "module", "full name", "conditional", "until", "ignored", "own module", "rescued", "rescuing", "always",
    "notifies", "once", "handled",
}  # fmt: skip


class Run:
    """Plays of a process that has ``worker`` installed. Only in a process of its own."""

    def __init__(self, root: str) -> None:
        cli: Any = importlib.import_module("ansible.cli.playbook")
        self.root = Path(root)
        self.playbook: Callable[[list[str]], object] = cli.PlaybookCLI.cli_executor
        self.asked: dict[str, bool] = {}
        self.changed: list[str] = []
        self.displayed: list[str] = []
        own = Path(importlib.import_module("ansible").__path__[0])
        self.plugins = OwnPlugins([own])

    def install(self) -> None:
        worker.install(self.plugins)

    def watch(self) -> None:
        """Note which tasks need a worker, and what is not as before after one that needs none."""
        process_class: Any = importlib.import_module("ansible.executor.process.worker").WorkerProcess
        ordinary, start = worker.needs_worker, process_class.start

        def needs_worker(worker: Any, plugins: OwnPlugins) -> bool:
            needed = ordinary(worker, plugins)
            self.asked[worker._task.get_name()] = needed
            return needed

        def watched(process: Any) -> None:
            look = state_of(process)
            before = look()
            start(process)
            if not self.asked[process._task.get_name()]:
                self.changed += [name for name, value in look().items() if value != before[name]]

        worker.needs_worker = needs_worker
        process_class.start = watched

    def play(self, *arguments: str) -> Any:
        """Run a playbook of this name; return what was noted, the exit code, and what was displayed."""
        return fresh.in_a_fork(self._play, *arguments)

    def _play(self, name: str, *arguments: str) -> Any:
        out = self.root / f"{name}.out"
        os.dup2(os.open(out, os.O_CREAT | os.O_TRUNC | os.O_WRONLY), 1)
        os.dup2(1, 2)
        code: object = 0
        try:
            self.playbook(["ansible-playbook", "-i", f"{self.root}/hosts", f"{self.root}/{name}.yml", *arguments])
        except SystemExit as end:
            code = end.code
        sys.stdout.flush()
        return {"asked": self.asked, "changed": self.changed, "code": code, "said": out.read_text(encoding="utf-8")}


def state_of(process: Any) -> Callable[[], dict[str, Any]]:
    """Return what tells the state of all that a task's process would have had copies of."""
    task, host, context, variables = process._task, process._host, process._play_context, process._task_vars

    def look() -> dict[str, Any]:
        return {
            "host's variables": (id(host.vars), repr(host.vars)),
            "host's groups": (id(host.groups), [group.name for group in host.groups]),
            "task": {name: repr(value) for name, value in task.dump_attrs().items()},
            "task's parent": id(task._parent),
            "task's variables": {name: repr(variables[name]) for name in set(variables) - {"hostvars", "vars"}},
            "play's context": {name: repr(value) for name, value in context.dump_attrs().items()},
            "streams": (id(sys.stdin), id(sys.stdout), id(sys.stderr)),
            "directory": os.getcwd(),  # noqa: PTH109 - of the process
            "environment": dict(os.environ),
            "handlers": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)],
        }

    return look


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in {"hosts": f"localhost {LOCAL}\n", **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def noted(root: str, names: list[str]) -> Any:
    run = Run(root)
    run.install()
    run.watch()
    return {name: run.play(name) for name in names}


def test_which_tasks_need_a_worker_and_that_the_others_leave_nothing(tmp_path: Path) -> None:
    write(tmp_path, {"play.yml": KINDS, "action_plugins/acts.py": ACTION, "library/own_module.py": MODULE})
    answer = fresh.call_with_ansible(noted, str(tmp_path), ["play"])["play"]
    assert answer["code"] == 0, answer["said"]
    assert {name for name, needed in answer["asked"].items() if not needed} == HERE
    assert answer["changed"] == []


def play_of(hosts: str, action: str, role: str = "") -> str:
    task = f"{{name: task, {action}: , when: false}}"
    return f"- hosts: {hosts}\n  gather_facts: false\n  roles: [{role}]\n  tasks: [{task}]\n"


PLAYS = {
    "alone": play_of("localhost", "ping"),
    "two": play_of("all", "ping"),
    "one_of_two": play_of("second", "ping"),
    "two_plays": f"- {{hosts: all, gather_facts: false}}\n{play_of('second', 'ping')}",
    "with_filters": play_of("localhost", "ping", "filters"),
    "with_tests": play_of("localhost", "ping", "tests"),
    "with_lookups": play_of("localhost", "ping", "lookups"),
    "with_connections": play_of("localhost", "ping", "connections"),
    "with_shells": play_of("localhost", "ping", "shells"),
    "with_actions": play_of("localhost", "acts", "actions"),
    "beside_actions": play_of("localhost", "ping", "actions"),
    "with_module": play_of("localhost", "own_module", "modules"),
    "of_collection": play_of("localhost", "my.own.plain"),
    "by_collection": play_of("localhost", "my.own.acts"),
    "routed": play_of("localhost", "my.own.routed"),
    "redirected": play_of("localhost", "my.own.redirected"),
}
PLAYS_HERE = {"alone", "one_of_two", "two_plays", "beside_actions", "with_module", "of_collection"}
ROUTES = """
plugin_routing:
  modules:
    routed: {action_plugin: my.own.acts}
  action:
    redirected: {redirect: my.own.acts}
"""
PLUGINS = {
    "hosts": f"localhost {LOCAL}\nsecond {LOCAL}\n",
    "roles/filters/filter_plugins/own.py": FILTER,
    "roles/tests/test_plugins/own.py": TEST,
    "roles/lookups/lookup_plugins/own.py": LOOKUP,
    "roles/connections/connection_plugins/local.py": "from ansible.plugins.connection.local import Connection\n",
    "roles/shells/shell_plugins/sh.py": "from ansible.plugins.shell.sh import ShellModule\n",
    "roles/actions/action_plugins/acts.py": ACTION,
    "roles/modules/library/own_module.py": MODULE,
    "ansible_collections/my/own/meta/runtime.yml": ROUTES,
    "ansible_collections/my/own/plugins/action/acts.py": ACTION,
    **{
        f"ansible_collections/my/own/plugins/modules/{name}.py": MODULE
        for name in ("plain", "acts", "routed", "redirected")
    },
}


def test_which_plays_need_workers(tmp_path: Path) -> None:
    write(tmp_path, {**{f"{name}.yml": text for name, text in PLAYS.items()}, **PLUGINS})
    answers = fresh.call(noted, str(tmp_path), list(PLAYS), ANSIBLE_COLLECTIONS_PATH=str(tmp_path))
    assert {name: answer["code"] for name, answer in answers.items()} == dict.fromkeys(PLAYS, 0), answers
    assert {name for name, answer in answers.items() if not answer["asked"]["task"]} == PLAYS_HERE


def test_an_action_in_place_of_ansibles_for_every_module_needs_workers(tmp_path: Path) -> None:
    write(tmp_path, {"alone.yml": PLAYS["alone"], "action_plugins/normal.py": ACTION})
    answer = fresh.call_with_ansible(noted, str(tmp_path), ["alone"])["alone"]
    assert answer["asked"] == {"task": True}


WORDS = """
- hosts: localhost
  gather_facts: false
  vars: {kept: [1], mapping: {a: [1]}}
  tasks:
    - {name: module, ping: }
    - {name: fails, command: "false", ignore_errors: true}
    - {name: warns, debug: {msg: "{{ lookup('vars', 'kept') }}"}, when: "{{ kept | length == 1 }}"}
    - {name: registers, command: echo said, register: said}
    - {name: changes what it was given, set_fact: {other: "{{ kept.append(2) }}", third: "{{ mapping.a.append(2) }}"}}
    - name: changes what was registered
      debug: {msg: "{{ said.stdout_lines.append('more') }} {{ said.update({'x': 1}) }}"}
    - {name: tells, debug: {msg: "{{ kept }} {{ mapping }} {{ said.stdout_lines }} {{ said.x | default('none') }}"}}
    - {name: a fact, set_fact: {kept: [3], cacheable: true}}
    - {name: a file, include_vars: {file: more.yml, name: included}}
    - {name: edits, debug: {msg: "{{ lookup('pipe', 'echo value: 2 > more.yml') }}"}}
    - {name: the file again, include_vars: {file: more.yml, name: included}}
    - {name: puts back, debug: {msg: "{{ lookup('pipe', 'echo value: 1 > more.yml') }}"}}
    - {name: tells again, debug: {msg: "{{ kept }} {{ included }} {{ hostvars.localhost.kept }}"}}
    - {name: variable of the task, debug: {msg: "{{ own }}"}, vars: {own: 1}}
    - {name: no variable of another task, debug: {msg: "{{ own | default('unset') }}"}}
    - {name: groups, group_by: {key: made}}
    - {name: a new host, add_host: {name: third, own: 1}}
    - {name: tells of hosts, debug: {msg: "{{ groups }} {{ group_names }}"}}
    - {name: secret, debug: {msg: hidden}, no_log: true}
    - {name: unfit, debug: {msg: "{{ missing }}"}, ignore_errors: true}
    - {name: unknown argument, debug: {unknown: 1}, ignore_errors: true}
    - {name: in a loop, debug: {msg: "{{ item }}"}, loop: [1, 2]}
    - {name: last, assert: {that: "kept == [4]"}}
"""
MASKED = [
    (r"ansible-tmp-[\d.-]+|ansible-local-\w+", "TEMPORARY"),
    (r"\d:\d\d:\d\d\.\d+|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+|\d\d:\d\d:\d\d", "TIME"),
    (r'"(ctime|mtime|atime|inode)": [\d.]+', "NUMBER"),
    (r"\.source-?[\w.-]*|tmp\w{8}", "SOURCE"),
]


def by_both(root: str) -> list[Any]:
    run = Run(root)
    ordinary = run.play("play", "-vvv")
    run.install()
    run.watch()
    return [ordinary, run.play("play", "-vvv")]


def test_what_is_displayed_and_its_order_are_those_of_workers(tmp_path: Path) -> None:
    write(tmp_path, {"play.yml": WORDS, "more.yml": "value: 1"})
    ordinary, here = fresh.call_with_ansible(by_both, str(tmp_path))
    assert sum(not needed for needed in here["asked"].values()) >= 15
    assert here["code"] == ordinary["code"] == 2
    assert masked(here["said"]) == masked(ordinary["said"])


def masked(text: str) -> list[str]:
    for pattern, word in MASKED:
        text = re.sub(pattern, word, text)
    return text.splitlines()
