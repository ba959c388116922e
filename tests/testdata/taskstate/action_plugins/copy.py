"""An action in place of Ansible's own, which others of Ansible's use, and which leaves something."""

import os
from pathlib import Path

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    def run(self, tmp=None, task_vars=None):
        os.environ["LEFT"] = "by an action"
        arguments = self._task.args
        text = arguments["content"] if "content" in arguments else Path(arguments["src"]).read_text()
        Path(arguments["dest"]).write_text(text)
        return {"changed": True}
