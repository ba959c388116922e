"""Values that libraries compute from a run's own variables when they are imported.

A zygote imports the libraries before there is a run, so each process of a run computes these values again.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Final

_DEFAULT_KUBECONFIG: Final = "KUBE_CONFIG_DEFAULT_LOCATION"
_HOLDERS: Final = tuple(
    f"{package}{module}"
    for package in ("kubernetes.config", "kubernetes.aio.config")
    for module in ("", ".kube_config")
)
"""The modules that hold the path that ``load_kube_config()`` takes: from ``KUBECONFIG``, else below the home."""


def compute_again() -> None:
    """Compute again, in a process of a run, what loaded libraries have read from its environment."""
    path = os.environ.get("KUBECONFIG")
    for name in _HOLDERS:
        module = sys.modules.get(name)
        if module is not None and path is not None:
            setattr(module, _DEFAULT_KUBECONFIG, path)


def reopen_log_files() -> None:
    """Have the log file of Ansible's ``log_path`` opened when the next line is written.

    The zygote's descriptor is closed in its forks, where the number may since be another file's.
    """
    for handler in logging.root.handlers:
        if isinstance(handler, logging.FileHandler):
            handler.stream = None  # ``FileHandler.emit`` opens it then
