"""The private data directory of an object: all inputs of a run.

It is written again before each run, and removed when the object is gone. Its path is upstream's,
``<root>/<group>/<version>/<Kind>/<namespace>/<name>``, and its layout ansible-runner's. Other users cannot read it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import orjson

from reconcile_runner.apimachinery.objects import GroupVersionKind, ObjectKey
from reconcile_runner.errors import ExecutionError
from reconcile_runner.execution.artifacts import ArtifactStore
from reconcile_runner.execution.job import RunSettings

_ARTIFACTS = "artifacts"

_SETTINGS = {"pexpect_timeout": 1}
"""ansible-runner's: seconds between two looks at a program that has ended but left its terminal to another process."""


class InputDir:
    """The private data directories below a root.

    ``environment`` is the operator's own (default: ``os.environ``): ``VIRTUAL_ENV`` selects the interpreter of modules,
    and ``ANSIBLE_INVENTORY`` (a file or directory) replaces the inventory that has only ``localhost``.
    ``artifacts`` bounds what finished runs leave (default: for each object alone).
    """

    def __init__(
        self, root: Path, environment: Mapping[str, str] | None = None, artifacts: ArtifactStore | None = None
    ) -> None:
        self._root = root
        self._artifacts = artifacts or ArtifactStore()
        self._environment = os.environ if environment is None else environment

    def path(self, gvk: GroupVersionKind, key: ObjectKey) -> Path:
        """Return the path of an object's directory.

        Raises ``ValueError`` for a name that would lead out of the root.
        """
        segments = [part for part in (gvk.group, gvk.version, gvk.kind, key.namespace, key.name) if part]
        for segment in segments:
            if "/" in segment or "\0" in segment or segment in {".", ".."}:
                raise ValueError(f"{segment!r} cannot be the name of a directory")
        return self._root.joinpath(*segments)

    def write(
        self, gvk: GroupVersionKind, key: ObjectKey, extra_vars: bytes, kubeconfig: str, settings: RunSettings
    ) -> Path:
        """Write all inputs of a run and return the directory.

        Blocks for about a millisecond. ``extra_vars`` is the text of the file of extra vars, ``kubeconfig`` that of the
        run's own kubeconfig, whose path is in ``KUBECONFIG`` and ``K8S_AUTH_KUBECONFIG``.

        Nothing of an earlier run's inputs survives; of its artifacts, the newest do. Must not be called while a run of
        the same object goes on. Raises ``ExecutionError`` where something cannot be written.
        """
        directory = self.path(gvk, key)
        try:
            self._write_all(directory, extra_vars, kubeconfig, settings)
        except OSError as error:
            raise ExecutionError(f"the inputs of the run cannot be written: {error}") from error
        return directory

    def _write_all(self, directory: Path, extra_vars: bytes, kubeconfig: str, settings: RunSettings) -> None:
        _make_private(self._root, directory)
        for name in ("env", "inventory", "project"):
            shutil.rmtree(directory / name, ignore_errors=True)
            (directory / name).mkdir(mode=0o700)
        path = directory / "kubeconfig"
        env = {**settings.environment, "KUBECONFIG": str(path), "K8S_AUTH_KUBECONFIG": str(path)}
        _write(path, kubeconfig.encode())
        _write(directory / "env" / "envvars", orjson.dumps(env))
        _write(directory / "env" / "extravars", extra_vars)
        _write(directory / "env" / "settings", orjson.dumps(_SETTINGS))
        _write(directory / "env" / "cmdline", settings.ansible_args.encode())
        self._write_inventory(directory / "inventory")
        if settings.max_artifacts > 0:
            self._artifacts.keep_newest(directory / _ARTIFACTS, settings.max_artifacts - 1)

    def remove(self, gvk: GroupVersionKind, key: ObjectKey) -> None:
        """Remove an object's directory, artifacts and all.

        Directories above it go, too, where they are empty then.
        """
        directory = self.path(gvk, key)
        self._artifacts.removed(directory / _ARTIFACTS)
        shutil.rmtree(directory, ignore_errors=True)
        for parent in directory.parents:
            if parent == self._root:
                return
            try:
                parent.rmdir()
            except OSError:
                return

    def finished(self, gvk: GroupVersionKind, key: ObjectKey, ident: str) -> None:
        """Count the artifacts of a run that ended.

        Removes what is too much of them and of older ones.
        """
        self._artifacts.finished(self.path(gvk, key) / _ARTIFACTS / ident)

    def keys(self, gvk: GroupVersionKind) -> list[ObjectKey]:
        """Return the objects of a kind that have a directory.

        The directory may be an earlier operator's.
        """
        root = self.path(gvk, ObjectKey("", ""))
        # Only an object's directory has this file at its top; a namespace's directory has only directories.
        found = [path.parent.relative_to(root).parts for path in root.glob("*/kubeconfig") if path.is_file()]
        found += [path.parent.relative_to(root).parts for path in root.glob("*/*/kubeconfig") if path.is_file()]
        return [ObjectKey("" if len(parts) == 1 else parts[0], parts[-1]) for parts in found]

    def _write_inventory(self, directory: Path) -> None:
        given = self._environment.get("ANSIBLE_INVENTORY")
        if not given:
            _write(directory / "hosts", self._localhost())
        elif Path(given).is_dir():
            shutil.copytree(given, directory, dirs_exist_ok=True, copy_function=_copy)
        else:
            _copy(given, str(directory / "hosts"))

    def _localhost(self) -> bytes:
        environment = self._environment.get("VIRTUAL_ENV")
        interpreter = f"{environment}/bin/python3" if environment else "{{ ansible_playbook_python }}"
        variables = {"ansible_connection": "local", "ansible_python_interpreter": interpreter}
        # JSON is read by the first inventory plugin that Ansible tries; the INI form only by the last one.
        return orjson.dumps({"all": {"hosts": {"localhost": variables}}}) + b"\n"


def _make_private(root: Path, directory: Path) -> None:
    for path in (*reversed(directory.relative_to(root).parents), directory.relative_to(root)):
        (root / path).mkdir(mode=0o700, exist_ok=True)


def _write(path: Path, content: bytes) -> None:
    """Write a file in one step: a reader finds all of it or nothing."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    temporary.rename(path)


def _copy(source: str, target: str) -> str:
    """Copy a file of an inventory: private, but executable where it was.

    A dynamic inventory is a program.
    """
    shutil.copyfile(source, target)
    Path(target).chmod(0o700 if os.access(source, os.X_OK) else 0o600)
    return target
