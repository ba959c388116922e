"""Whether ``--ansible-args`` leave a run anything to do."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from typing import Final

from reconcile_runner.errors import ConfigError
from reconcile_runner.inspection.inspector import Inspector

_SKIPPED_TAGS: Final = "ANSIBLE_SKIP_TAGS"
"""The one variable with which a run may do nothing whatever its arguments are."""


def check_arguments(text: str, environ: Mapping[str, str], interpreter: str = sys.executable) -> None:
    """Ask Ansible's own parser whether a run with these arguments does its work.

    ``interpreter`` is the Python of the runs' Ansible.

    Raises ``ConfigError``: a run that does nothing would still count as a success, so that objects would be reported as
    ready, and be deleted without having been cleaned up.
    """
    try:
        arguments = shlex.split(text)
    except ValueError as error:
        problem = f"found {text!r}, expected arguments as in a shell: {str(error).lower()}"
        raise ConfigError(f"--ansible-args: {problem}") from error
    if not arguments and _SKIPPED_TAGS not in environ:
        return
    with Inspector.started(environ, interpreter) as inspector:
        without = inspector.refusal([])
        if without:
            raise ConfigError(f"{_SKIPPED_TAGS}: found {environ.get(_SKIPPED_TAGS)!r}, {without}")
        refusal = inspector.refusal(arguments)
    if refusal:
        raise ConfigError(f"--ansible-args: found {text!r}, {refusal}")
