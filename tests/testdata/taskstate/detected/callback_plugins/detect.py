# ruff: noqa: PTH123
"""Notes what each task that runs in the play leaves there, as tests/support/processstate.py sees it."""

import importlib.util
import json
import os

from ansible import constants
from ansible.plugins.callback import CallbackBase

from reconcile_runner.execution.forkserver.patches import worker

SPEC = importlib.util.spec_from_file_location("processstate", os.environ["DETECTOR"])
PROCESSSTATE = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(PROCESSSTATE)
PROCESSSTATE.watch_imports()


def watch(noted):
    run_here, go_on = worker._run_here, worker._go_on_in_a_fork

    def run_and_look(process, module):
        name = process._task.get_name()
        given = {
            "loader": process._loader,
            "variable manager": process._variable_manager,
            "configuration": constants.config,
        }
        before = PROCESSSTATE.look(given)
        noted[name] = {"left": [], "forked": False}
        try:
            run_here(process, module)
        finally:
            noted[name]["left"] = PROCESSSTATE.differences(before, PROCESSSTATE.look(given))

    def note_and_go_on():
        if not os.environ.get("DETECTOR_FORCES"):
            noted[worker._thread.process._task.get_name()]["forked"] = True
            go_on()

    worker._run_here, worker._go_on_in_a_fork = run_and_look, note_and_go_on


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "detect"

    def __init__(self):
        super().__init__()
        self.noted = {}
        watch(self.noted)

    def v2_playbook_on_stats(self, stats):
        with open(os.environ["DETECTED"], "w", encoding="utf-8") as file:
            json.dump(self.noted, file)
