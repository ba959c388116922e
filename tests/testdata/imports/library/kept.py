#!/usr/bin/python
"""Tells what the state of loaded modules holds of another process, once all shared code is imported."""

from ansible.module_utils import basic, everything, kept_state

CONTROL = {"found": [lambda: None]}
"""Where a word is to be found, which shows that one would be."""


def main():
    module = basic.AnsibleModule(argument_spec={"backwards": {"type": "list", "elements": "str"}})
    # Backwards, because Ansible keeps a module's arguments.
    words = [each[::-1] for each in module.params["backwards"]]
    CONTROL["found"][0].__dict__["deep"] = f"{words[0]}control"
    module.exit_json(texts=kept_state.find(words), shared=everything.SHARED)


if __name__ == "__main__":
    main()
