"""The environment variables that every run has on top of the operator's own.

Runs have a working directory of their own, so every path here is absolute.

The collections that come with the operator are last in Ansible's path: what the user installed is found first. The very
last one forwards ``operator_sdk.util`` to them, for roles that were written for upstream's operator.
"""

from __future__ import annotations

import configparser
import os
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Final

from reconcile_runner.compat import ENV_USER_METRICS_URL
from reconcile_runner.logs import get_logger
from reconcile_runner.options import Options

ROLES_PATH: Final = "ANSIBLE_ROLES_PATH"
COLLECTIONS_PATH: Final = "ANSIBLE_COLLECTIONS_PATH"
CONFIG: Final = "ANSIBLE_CONFIG"

OWN_COLLECTIONS: Final = Path(str(resources.files("reconcile_runner"))) / "collections"
"""The collections that come with the package, as its data."""
FORWARDING_COLLECTIONS: Final = OWN_COLLECTIONS / "forwarding"

_log = get_logger(__name__)


class RunEnvironment:
    """The variables, worked out for each run from the configuration files as they are then.

    ``environ`` is the operator's own environment, ``directory`` its working directory; ``user_metrics_url`` is where
    roles' metrics are taken, empty for nowhere.
    """

    def __init__(
        self, options: Options, environ: Mapping[str, str], directory: Path, user_metrics_url: str = ""
    ) -> None:
        self._environ = environ
        self._directory = directory
        self._own = [str(path) for path in (OWN_COLLECTIONS, FORWARDING_COLLECTIONS) if path.is_dir()]
        self._collections = options.ansible_collections_path or environ.get(COLLECTIONS_PATH) or ""
        self._fixed = {ENV_USER_METRICS_URL: user_metrics_url} if user_metrics_url else {}
        if roles := options.ansible_roles_path or environ.get(ROLES_PATH):
            self._fixed[ROLES_PATH] = os.pathsep.join(_absolute(roles, directory))
        self._unreadable = ""

    def variables(self) -> dict[str, str]:
        """Return the variables of a run that starts now. Reads at most one small file."""
        variables = dict(self._fixed)
        file = _config_file(self._environ, self._directory)
        if file and (CONFIG in self._environ or file.parent == self._directory):
            variables[CONFIG] = str(file)
        if self._collections:
            collections = _absolute(self._collections, self._directory)
        else:
            collections = self._configured_collections(file)
        if collections:
            variables[COLLECTIONS_PATH] = os.pathsep.join(dict.fromkeys([*collections, *self._own]))
        return variables

    def _configured_collections(self, file: Path | None) -> list[str]:
        """Return the path of Ansible's configuration file, else Ansible's default.

        Empty where the file's value is a template, which only Ansible can read.
        """
        paths = _read_config(file) if file else ""
        unreadable = f"{file}: collections_path: found {paths!r}, expected paths without templates"
        if "{{" in paths:
            if unreadable != self._unreadable:
                _log.warning("the collections that come with the operator are not on Ansible's path", error=unreadable)
            self._unreadable = unreadable
            return []
        if file and paths:
            return _absolute(os.path.expandvars(paths), file.parent)
        home = self._environ.get("ANSIBLE_HOME") or "~/.ansible"
        return _absolute(f"{home}/collections:/usr/share/ansible/collections", self._directory)


def _absolute(paths: str, base: Path) -> list[str]:
    return [os.path.normpath(base / Path(part).expanduser()) for part in paths.split(os.pathsep) if part]


def _config_file(environ: Mapping[str, str], directory: Path) -> Path | None:
    """Return the configuration file that Ansible reads, which is one."""
    named = environ.get(CONFIG)
    candidates = [
        *([directory / Path(named).expanduser()] if named else []),
        directory / "ansible.cfg",
        Path("~/.ansible.cfg").expanduser(),
        Path("/etc/ansible/ansible.cfg"),
    ]
    for candidate in candidates:
        file = candidate / "ansible.cfg" if candidate.is_dir() else candidate
        if file.is_file():
            return file
    return None


def _read_config(file: Path) -> str:
    parser = configparser.ConfigParser(inline_comment_prefixes=(";",), interpolation=None)
    try:
        parser.read(file, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError, OSError):
        return ""  # Ansible reports it in each run
    return parser.get("defaults", "collections_path", fallback="")
