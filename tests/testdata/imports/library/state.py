#!/usr/bin/python
"""Tells what is the process's own before any shared code but Ansible's basics is imported."""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.process_state import look


def main():
    module = AnsibleModule(argument_spec={})
    module.exit_json(state=look())


if __name__ == "__main__":
    main()
