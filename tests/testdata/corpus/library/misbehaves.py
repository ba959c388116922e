#!/usr/bin/python
# ruff: noqa: T201
"""A module for each way in which one may misbehave."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading

from ansible.module_utils.basic import AnsibleModule


def square(number):
    return number * number


def parallel():
    found = []
    thread = threading.Thread(target=lambda: found.append(1))
    thread.start()
    thread.join()
    child = multiprocessing.Process(target=square, args=(2,))
    child.start()
    child.join()
    return [found, child.exitcode]


def main():
    module = AnsibleModule(argument_spec={"how": {"type": "str"}}, supports_check_mode=True)
    how = module.params["how"]
    if how == "raise":
        raise ValueError("what the module says when it crashes")
    if how == "garbage":
        print("this is no JSON")
        sys.exit(0)
    if how == "exit":
        sys.exit(5)
    if how == "hard_exit":
        os._exit(7)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "noise":
        print("some noise")
        sys.stderr.write("and an error\n")
    if how == "child":
        subprocess.Popen(["sleep", "0.2"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if how == "fail":
        module.fail_json(msg="the module says that it failed", detail={"a": [1, 2]})
    if how == "big":
        module.exit_json(text="x" * (1024 * 1024))
    module.exit_json(
        changed=False,
        value=os.environ.get("CORPUS_VALUE"),
        bytecode=sys.dont_write_bytecode,
        interpreter=sys.executable,
        parallel=parallel() if how == "parallel" else None,
    )


if __name__ == "__main__":
    main()
