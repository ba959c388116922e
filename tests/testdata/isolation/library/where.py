#!/usr/bin/python
# ruff: noqa: PTH115, PTH123, PTH208
"""Tells in which process a module runs, and what it has of its own."""

import atexit
import gc
import logging
import os
import signal
import sys
import threading

from ansible.module_utils.basic import AnsibleModule


def main():
    module = AnsibleModule(argument_spec={})
    with open("/proc/self/cmdline") as file:
        command_line = file.read()
    module.exit_json(
        forked="forkserver" in command_line,
        command_line=command_line.replace("\0", " ").strip(),
        parent=os.getppid(),
        interpreter=sys.executable,
        variable=os.environ.get("ISOLATION"),
        descriptors=sorted(os.readlink(f"/proc/self/fd/{fd}").split(":")[0] for fd in ("0", "1", "2")),
        open=len(os.listdir("/proc/self/fd")) - 1,
        threads=threading.active_count(),
        handlers=len(logging.root.handlers),
        collecting=gc.isenabled(),
        sigterm=signal.getsignal(signal.SIGTERM) == signal.SIG_DFL,
        modules=sorted(name for name in sys.modules if name.startswith(("ansible.plugins", "ansible.cli", "runner"))),
        exits=atexit._ncallbacks() < 5,
        path=[entry for entry in sys.path if "payload" not in entry],
    )


if __name__ == "__main__":
    main()
