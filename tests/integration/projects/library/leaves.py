#!/usr/bin/python
"""Tells where it would make temporary files, leaves one there, and ends as it is told."""

import os
import signal
import tempfile

from ansible.module_utils.basic import AnsibleModule


def main() -> None:
    module = AnsibleModule(argument_spec={"killed": {"type": "bool", "default": False}})
    descriptor, path = tempfile.mkstemp(prefix="left-by-a-module-")
    os.close(descriptor)
    if module.params["killed"]:
        os.kill(os.getpid(), signal.SIGKILL)
    module.exit_json(changed=False, path=path)


if __name__ == "__main__":
    main()
