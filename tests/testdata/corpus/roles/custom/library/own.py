#!/usr/bin/python
# ruff: noqa: PTH109
"""A role's own module, with shared code of the role."""

import os
import sys

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.words import WORD


def main():
    module = AnsibleModule(argument_spec={"word": {"type": "str", "required": True}}, supports_check_mode=True)
    module.warn("a warning of the module")
    module.deprecate("old ways", version="9.9", collection_name="ansible.builtin")
    said = f"{module.params['word']} {WORD} {os.getcwd() != '/'} {sys.argv[1:]} {sys.stdin.read()!r} {__name__}"
    module.exit_json(changed=True, said=said, umask=oct(os.umask(0o22)))


if __name__ == "__main__":
    main()
