#!/usr/bin/python
"""Tells what is the process's own once all shared code is imported."""

from ansible.module_utils import everything
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.process_state import look


def main():
    module = AnsibleModule(argument_spec={})
    module.exit_json(state=look(), shared=everything.SHARED)


if __name__ == "__main__":
    main()
