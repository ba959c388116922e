#!/usr/bin/python
# ruff: noqa: PTH118, PTH123
"""Leaves what is to be done when its process ends, by each way that Python's library has."""

import atexit
import logging.handlers
import multiprocessing.util
import os
import tempfile
import weakref

from ansible.module_utils.basic import AnsibleModule


class Kept:
    """An object that lives as long as the process."""


KEPT = Kept()


def main():
    module = AnsibleModule(argument_spec={"directory": {"type": "str", "required": True}})
    directory = module.params["directory"]

    def write(name):
        with open(os.path.join(directory, name), "x") as file:
            file.write(name)

    atexit.register(write, "atexit")
    weakref.finalize(KEPT, write, "weakref")
    KEPT.finalizer = multiprocessing.util.Finalize(None, write, args=("multiprocessing",), exitpriority=1)
    KEPT.directory = tempfile.TemporaryDirectory(dir=directory)
    target = logging.FileHandler(os.path.join(directory, "logging"), delay=True)
    logging.getLogger("ends").addHandler(logging.handlers.MemoryHandler(100, target=target))
    logging.getLogger("ends").warning("logging")
    module.exit_json(changed=False)


if __name__ == "__main__":
    main()
