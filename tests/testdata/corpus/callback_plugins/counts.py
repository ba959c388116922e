"""A callback beside the playbook, which has something to say."""

from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "counts"

    def __init__(self):
        super().__init__()
        self.tasks = 0

    def v2_playbook_on_task_start(self, task, is_conditional):
        self.tasks += 1

    def v2_playbook_on_stats(self, stats):
        self._display.display(f"tasks seen: {self.tasks}")
