from ansible.plugins.become import BecomeBase

DOCUMENTATION = """
name: becomes
short_description: tells a word
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
    name = "zzz.mine.becomes"

    def build_become_command(self, cmd, shell):
        return "echo w100"
