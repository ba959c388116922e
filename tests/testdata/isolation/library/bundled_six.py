#!/usr/bin/python
"""Imports what Ansible's own copy of six makes, where this ansible-core has one."""

from ansible.module_utils.basic import AnsibleModule

try:
    from ansible.module_utils.six.moves import http_cookies, urllib

    MOVES = [http_cookies.__name__, urllib.parse.quote("a b")]
except ImportError as error:
    MOVES = [str(error)]


def main():
    module = AnsibleModule(argument_spec={})
    module.exit_json(moves=MOVES)


if __name__ == "__main__":
    main()
