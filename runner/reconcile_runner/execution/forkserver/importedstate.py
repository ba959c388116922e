"""Values that libraries compute from the environment when they are imported.

A zygote imports the libraries before there is a run, so each process of a run computes these values again. Where it
cannot, which variables were read shows whether the process may use what was imported.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing.process
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Final, TypeAlias

from reconcile_runner.execution.forkserver.configuration import PER_RUN

ReadVariables: TypeAlias = dict[bytes, bytes | None]
"""The variables that were read and the values that they had, None of those that were not set."""

_DEFAULT_KUBECONFIG: Final = "KUBE_CONFIG_DEFAULT_LOCATION"
_HOLDERS: Final = tuple(
    f"{package}{module}"
    for package in ("kubernetes.config", "kubernetes_asyncio.config")
    for module in ("", ".kube_config")
)
"""The modules that hold the path that ``load_kube_config()`` takes: from ``KUBECONFIG``, else below the home."""

_FIRST_DIRECTORY: Final = "ORIGINAL_DIR"
"""The directory in which ``multiprocessing`` starts what it does not fork."""

_CLASS: Final = "__class__"
_PASSING_ON: Final = frozenset({"collections.abc", "genericpath", "os", "pathlib", "pathlib._local", "posixpath"})
_OF_THE_CONTROLLER: Final = ("ansible.", "reconcile_runner.")
_OF_MODULES: Final = "ansible.module_utils."
_KEEPING_NOTHING: Final = frozenset({"getpass", "shutil", "sysconfig", "tempfile"})
"""Python's own modules that read variables whenever they are asked, or are told to read them again."""


def compute_again() -> None:
    """Compute again, in a process of a run, what loaded libraries have read from its environment and directory."""
    setattr(multiprocessing.process, _FIRST_DIRECTORY, str(Path.cwd()))
    path = os.environ.get("KUBECONFIG")
    for name in _HOLDERS:
        module = sys.modules.get(name)
        if module is not None and path is not None:
            setattr(module, _DEFAULT_KUBECONFIG, path)


@contextlib.contextmanager
def reading() -> Iterator[ReadVariables]:
    """Yield the variables that a module's libraries read in the block.

    Not those of which each run has its own: for these, each process of a run computes again what depends on them.
    """
    read: ReadVariables = {}
    ordinary = type(os.environ)

    class Watched(os._Environ[str]):  # noqa: SLF001 - a dict that libraries use is not to be replaced
        """The environment, which notes what is asked for."""

        def __getitem__(self, name: str) -> str:
            key = os.fsencode(name)
            if key not in PER_RUN and _may_keep(_reader(sys._getframe(1))):  # noqa: SLF001 - who asks
                read[key] = os.environb.get(key)
            return super().__getitem__(name)

    setattr(os.environ, _CLASS, Watched)
    try:
        yield read
    finally:
        setattr(os.environ, _CLASS, ordinary)


def _reader(frame: FrameType) -> str:
    """Return the name of the module that reads a variable, by whichever of Python's functions."""
    while frame.f_globals["__name__"] in _PASSING_ON and frame.f_back:
        frame = frame.f_back
    return str(frame.f_globals["__name__"])


def _may_keep(reader: str) -> bool:
    """Return whether a module may keep what it reads, in the import system that a run's modules have."""
    is_controller = reader.startswith(_OF_THE_CONTROLLER) and not reader.startswith(_OF_MODULES)
    return not is_controller and reader not in _KEEPING_NOTHING


def is_same_in(environment: Mapping[bytes, bytes], read: ReadVariables) -> bool:
    """Return whether variables that were read have the same values in an environment."""
    return all(environment.get(name) == value for name, value in read.items())


def reopen_log_files() -> None:
    """Have the log file of Ansible's ``log_path`` opened when the next line is written.

    The zygote's descriptor is closed in its forks, where the number may since be another file's.
    """
    for handler in logging.root.handlers:
        if isinstance(handler, logging.FileHandler):
            handler.stream = None  # ``FileHandler.emit`` opens it then
