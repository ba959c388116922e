#!/usr/bin/python
"""Tells what libraries have computed when they were imported, and imports names that six makes."""

import sys

import six
from ansible.module_utils.basic import AnsibleModule
from kubernetes.config import kube_config
from six.moves import configparser
from six.moves.urllib.parse import quote


def main():
    module = AnsibleModule(argument_spec={})
    module.exit_json(
        default=kube_config.KUBE_CONFIG_DEFAULT_LOCATION,
        moves=[six.moves.range is range, configparser.__name__, quote("a b")],
        hooks=sorted({getattr(each, "__name__", type(each).__name__) for each in sys.meta_path}),
    )


if __name__ == "__main__":
    main()
