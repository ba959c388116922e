"""A way to become nobody else, which leaves a variable in its process."""

import os

from ansible.plugins.become import BecomeBase

DOCUMENTATION = """
name: leaves
short_description: leaves a variable
options:
  become_user:
    description: the user
    default: root
    vars: [{name: ansible_become_user}]
  become_exe:
    description: a program
    default: ""
    vars: [{name: ansible_become_exe}]
  become_flags:
    description: its options
    default: ""
    vars: [{name: ansible_become_flags}]
  become_pass:
    description: a password
    vars: [{name: ansible_become_password}]
"""


class BecomeModule(BecomeBase):
    name = "isolation.state.leaves"

    def build_become_command(self, cmd, shell):
        os.environ["LEFT"] = "by becoming"
        return cmd
