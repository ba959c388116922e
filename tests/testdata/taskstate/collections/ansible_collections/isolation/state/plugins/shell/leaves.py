"""A shell that leaves a variable in its process."""

import os

from ansible.plugins.shell.sh import ShellModule as ShModule

DOCUMENTATION = """
name: leaves
short_description: leaves a variable
extends_documentation_fragment:
  - shell_common
"""


class ShellModule(ShModule):
    def __init__(self):
        super().__init__()
        os.environ["LEFT"] = "by a shell"
