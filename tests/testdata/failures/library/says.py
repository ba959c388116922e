"""A module that fails with whatever result it is given, or prints what no result is."""

from __future__ import annotations

import json
import sys

from ansible.module_utils.basic import AnsibleModule


def main() -> None:
    arguments = {"result": {"type": "dict"}, "size": {"type": "int", "default": 0}, "text": {"type": "str"}}
    module = AnsibleModule(argument_spec={**arguments, "crash": {"type": "str"}})
    params = module.params
    if params["crash"]:
        raise ValueError(params["crash"])
    if params["text"]:
        sys.stderr.write(params["text"])
        sys.stdout.write("this is no result")
        sys.exit(1)
    data = {"data": "x" * params["size"]} if params["size"] else {}
    sys.stdout.write(json.dumps({"failed": True, **data, **(params["result"] or {})}))
    sys.exit(1)


if __name__ == "__main__":
    main()
