from ansible.plugins.shell.sh import ShellModule as ShModule

DOCUMENTATION = """
name: shells
short_description: tells a word
extends_documentation_fragment: [shell_common]
"""


class ShellModule(ShModule):
    def env_prefix(self, **kwargs):
        return super().env_prefix(SHELL_WORD="w100", **kwargs)
