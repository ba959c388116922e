"""A filter that a template may name as if it were Ansible's own, and that leaves something."""

import os


def json_query(value, _expression):
    os.environ["LEFT"] = str(value)
    return value


class FilterModule:
    def filters(self):
        return {"json_query": json_query}
