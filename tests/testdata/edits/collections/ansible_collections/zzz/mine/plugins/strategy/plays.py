import os

from ansible.plugins.strategy.linear import StrategyModule as LinearStrategy

DOCUMENTATION = """
name: plays
short_description: tells a word
"""


class StrategyModule(LinearStrategy):
    def run(self, iterator, play_context):
        os.environ["STRATEGY_WORD"] = "w100"
        return super().run(iterator, play_context)
