#!/usr/bin/python
"""Imports what six makes: of Ansible's own copy, and of the package."""

import six
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.six.moves import configparser, http_client
from ansible.module_utils.six.moves.urllib.parse import quote
from six.moves import http_cookies
from six.moves.urllib.error import HTTPError


def main():
    module = AnsibleModule(argument_spec={})
    moves = [configparser, http_client, quote, http_cookies, HTTPError, six.moves.range]
    module.exit_json(moves=[each.__name__ for each in moves])


if __name__ == "__main__":
    main()
