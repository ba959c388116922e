"""What Ansible's configuration depends on: files, environment, directory.

The server keeps a zygote for each environment without ``PER_RUN`` and replaces it when one of its files changes. A play
reads the settings of ``READ_AGAIN`` itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

FileState: TypeAlias = tuple[int, int, int]
"""Time of the last change of a file or of what is known of it (ns), size (bytes), and inode; zeros if there is no file.

Not the time that a copy takes over from its original (``mtime``): who puts one in place of the other may keep that.
"""

FileStates: TypeAlias = dict[str, FileState]
"""By path."""

PER_RUN: Final = frozenset({
    b"ANSIBLE_CACHE_PLUGIN_CONNECTION",
    b"ANSIBLE_ROLES_PATH",
    b"AWX_ISOLATED_DATA_DIR",
    b"K8S_AUTH_KUBECONFIG",
    b"KUBECONFIG",
    b"RECONCILE_RUNNER_JOB",
    b"TMPDIR",
})  # fmt: skip
"""Variables that differ from run to run. A zygote has none of them. Those that Ansible reads when it is loaded are in
``READ_AGAIN``; the others are read in the run."""

READ_AGAIN: Final = {
    "ANSIBLE_CACHE_PLUGIN_CONNECTION": "CACHE_PLUGIN_CONNECTION",
    "ANSIBLE_ROLES_PATH": "DEFAULT_ROLES_PATH",
}
"""The settings that come from ``PER_RUN``, by variable."""

_CWD = "{{CWD}}"
_PATH_TYPES = frozenset({"path", "pathlist", "pathspec", "tmppath", "temppath", "tmp"})
_METADATA: Final = "meta"
_MAX_FILES: Final = 5000
"""Plugins of collections that are checked before each run, at about 2 µs each; of more, only the directories."""


def state_of(path: str) -> FileState:
    """Return the state of a file or directory."""
    try:
        found = os.stat(path)  # noqa: PTH116 - three times cheaper, and called for each file before each run
    except OSError:
        return (0, 0, 0)
    return (found.st_ctime_ns, found.st_size, found.st_ino)


def config_files(environment: Mapping[str, str]) -> FileStates:
    """Return the states of Ansible's configuration files.

    Those in the directory of a run are not among them.
    """
    candidates = [Path("~/.ansible.cfg").expanduser(), Path("/etc/ansible/ansible.cfg")]
    chosen = environment.get("ANSIBLE_CONFIG")
    if chosen:
        candidates += [Path(chosen), Path(chosen) / "ansible.cfg"]
    return {str(path): state_of(str(path)) for path in candidates}


def collection_files(roots: Iterable[Path]) -> FileStates:
    """Return the states of the collections' plugins and metadata below ``roots``."""
    found: FileStates = {}
    for root in roots:
        base = root / "ansible_collections"
        found[str(base)] = state_of(str(base))
        for collection in sorted(base.glob("*/*/")):
            for path in _files(collection):
                # The metadata of collections is kept by who has loaded one, plugins are not.
                if len(found) < _MAX_FILES or path.is_dir() or path.parent == collection / _METADATA:
                    found[str(path)] = state_of(str(path))
    return found


def _files(collection: Path) -> Iterator[Path]:
    yield collection.parent
    yield collection
    for name in ("plugins", _METADATA):
        for directory, directories, files in os.walk(collection / name):
            directories[:] = [each for each in directories if each != "__pycache__"]
            yield Path(directory)
            yield from (Path(directory, each) for each in files)


def needs_directory(config: Any, environment: Mapping[str, str]) -> bool:
    """Return whether a setting is relative to Ansible's working directory.

    ``config`` is Ansible's ``ConfigManager``: untyped here, because the server's modules must not import Ansible.
    """
    chosen = Path(str(config._config_file)) if config._config_file else None  # noqa: SLF001 - there is no public name
    if chosen and _CWD in chosen.read_text(encoding="utf-8", errors="replace"):
        return True
    for name, definition in config.get_configuration_definitions().items():
        if definition.get("type") in _PATH_TYPES and name not in READ_AGAIN.values():
            for entry in definition.get("env") or ():
                if _is_relative(environment.get(entry["name"], "")):
                    return True
    return False


def _is_relative(value: str) -> bool:
    return any(part and not part.startswith(("/", "~")) for part in value.replace(",", ":").split(":"))
