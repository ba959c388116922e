#!/usr/bin/python
"""Tells where it would make temporary files, leaves some there, and ends as it is told."""

import os
import signal
import subprocess
import tempfile
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule


def main() -> None:
    module = AnsibleModule(argument_spec={"killed": {"type": "bool", "default": False}, "nap": {"type": "str"}})
    descriptor, path = tempfile.mkstemp(prefix="left-by-a-module-")
    os.close(descriptor)
    Path(module.tmpdir, "download").touch()
    if module.params["nap"]:
        subprocess.run(["sleep", module.params["nap"]], check=True)
    if module.params["killed"]:
        os.kill(os.getpid(), signal.SIGKILL)
    module.exit_json(changed=False, path=path)


if __name__ == "__main__":
    main()
