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
LIBRARY: Final = "ANSIBLE_LIBRARY"
CONFIG: Final = "ANSIBLE_CONFIG"

SYSTEM_CONFIG: Final = Path("/etc/ansible/ansible.cfg")

_BESIDE_THE_WATCHES: Final = {
    ROLES_PATH: ("roles", "roles_path", "{home}/roles:/usr/share/ansible/roles:/etc/ansible/roles"),
    LIBRARY: ("library", "library", "{home}/plugins/modules:/usr/share/ansible/plugins/modules"),
}
"""By variable: the directory of a project whose content its playbooks find, the setting of ``ansible.cfg`` that would
say otherwise, and Ansible's default, which stays."""

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
        settings = _read_config(file) if file else {}
        variables |= self._beside_the_watches(settings, variables)
        if self._collections:
            collections = _absolute(self._collections, self._directory)
        else:
            collections = self._configured_collections(file, settings)
        if collections:
            variables[COLLECTIONS_PATH] = os.pathsep.join(dict.fromkeys([*collections, *self._own]))
        return variables

    def hidden_settings(self) -> list[str]:
        """Return the settings of the system's configuration file that runs do not have.

        Ansible reads one file: that of the working directory, where there is one, in place of the system's, which in
        the image says where roles are.
        """
        file = _config_file(self._environ, self._directory)
        if CONFIG in self._environ or file is None or file.parent != self._directory:
            return []
        return sorted(_read_config(SYSTEM_CONFIG).keys() - _read_config(file).keys())

    def _beside_the_watches(self, settings: Mapping[str, str], variables: Mapping[str, str]) -> dict[str, str]:
        """Return the paths with the directories of the project, for what nobody has set."""
        home = self._home(settings)
        found = {}
        for variable, (name, setting, default) in _BESIDE_THE_WATCHES.items():
            path = self._directory / name
            if variable not in {*variables, *self._environ} and setting not in settings and path.is_dir():
                paths = _absolute(default.format(home=home), self._directory)
                found[variable] = os.pathsep.join([str(path), *paths])
        return found

    def _home(self, settings: Mapping[str, str]) -> str:
        return self._environ.get("ANSIBLE_HOME") or settings.get("home") or "~/.ansible"

    def _configured_collections(self, file: Path | None, settings: Mapping[str, str]) -> list[str]:
        """Return the path of Ansible's configuration file, else Ansible's default.

        Empty where the file's value is a template, which only Ansible can read.
        """
        paths = settings.get("collections_path") or settings.get("collections_paths", "")  # as ansible-core 2.18 has it
        unreadable = f"{file}: collections_path: found {paths!r}, expected paths without templates"
        if "{{" in paths:
            if unreadable != self._unreadable:
                _log.warning("the collections that come with the operator are not on Ansible's path", error=unreadable)
            self._unreadable = unreadable
            return []
        if file and paths:
            return _absolute(os.path.expandvars(paths), file.parent)
        return _absolute(f"{self._home(settings)}/collections:/usr/share/ansible/collections", self._directory)


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


def _read_config(file: Path) -> dict[str, str]:
    """Return the settings below ``[defaults]``; none of a file that cannot be read."""
    parser = configparser.ConfigParser(inline_comment_prefixes=(";",), interpolation=None)
    try:
        parser.read(file, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError, OSError):
        return {}  # Ansible reports it in each run
    return dict(parser["defaults"]) if parser.has_section("defaults") else {}
