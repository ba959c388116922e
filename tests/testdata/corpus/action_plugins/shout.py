"""An action plugin beside the playbook, which runs a module."""

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        pinged = self._execute_module("ansible.builtin.ping", {"data": self._task.args["word"]}, task_vars=task_vars)
        result["shouted"] = pinged["ping"].upper()
        return result
