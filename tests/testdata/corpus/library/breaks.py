#!/usr/bin/python
"""A module that needs what is not there."""

import no_such_library  # noqa: F401
from ansible.module_utils.basic import AnsibleModule

AnsibleModule(argument_spec={}).exit_json()
