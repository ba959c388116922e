#!/usr/bin/python
"""A role's module that has the name of one of Ansible's."""

from ansible.module_utils.basic import AnsibleModule

module = AnsibleModule(argument_spec={"data": {"type": "str"}})
module.exit_json(ping="of the role", data=module.params["data"])
