# ruff: noqa: PTH123
import os

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: notes
short_description: tells a word
type: aggregate
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "zzz.mine.notes"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_stats(self, stats):
        with open(os.environ["NOTES"], "w", encoding="utf-8") as file:
            file.write("w100")
