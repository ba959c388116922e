#!/usr/bin/python
# ruff: noqa: PTH123
"""Tells whether its process is a fork."""

from ansible.module_utils.basic import AnsibleModule


def main():
    module = AnsibleModule(argument_spec={})
    with open("/proc/self/cmdline") as file:
        module.exit_json(forked="forkserver" in file.read())


if __name__ == "__main__":
    main()
