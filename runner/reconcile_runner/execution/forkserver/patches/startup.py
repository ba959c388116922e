"""Computes once what is equal in all of Ansible's processes of an environment.

The command line's parser, the settings of callback plugins, lists of plugins' files, and a faster reader of
kubeconfigs.
"""

from __future__ import annotations

import ast
import contextlib
import glob
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from reconcile_runner.execution.forkserver.modules.importsystem import forget

_DEFINE: Final = "_load_config_defs"
_SEARCHED: Final = "_get_paths"
_PATHS: Final = "_paths"
_CLEAR: Final = "_clear_caches"
_COLLECTIONS: Final = "ansible_collections."
_BUILTIN: Final = "ansible_collections.ansible"
_DOCUMENTATION: Final = "DOCUMENTATION"


def share_parser() -> None:
    """Have every play use one parser of arguments, which parsing does not change."""
    from ansible.cli.playbook import PlaybookCLI  # noqa: PLC0415 - not in the server

    made = PlaybookCLI(["ansible-playbook", "none.yml"])
    made.init_parser()

    def init_parser(self: Any) -> None:
        self.parser = made.parser

    PlaybookCLI.init_parser = init_parser


def define_callback_settings() -> Iterator[Path]:
    """Read the settings of others' callback plugins from their text; yield the files.

    Their modules are not imported: they may keep state of a run.
    """
    from ansible.plugins.loader import callback_loader  # noqa: PLC0415

    for directory in getattr(callback_loader, _SEARCHED)(subdirs=False):
        for path in sorted(Path(directory).glob("*.py")):
            text = _documentation(path)
            if text:
                getattr(callback_loader, _DEFINE)(path.stem, SimpleNamespace(DOCUMENTATION=text), str(path))
                yield path


def _documentation(path: Path) -> str | None:
    with contextlib.suppress(OSError, SyntaxError, ValueError):
        for statement in ast.parse(path.read_bytes()).body:
            match statement:
                case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(text))):
                    if name == _DOCUMENTATION:
                        return text
    return None


def keep_file_lists(directories: Iterable[Path]) -> None:
    """Have Ansible's plugin loader look for ``name.*`` in lists of files.

    Directories that are not given are still read from the disk.
    """
    from ansible.plugins import loader  # noqa: PLC0415

    # By the pattern that means the directory alone: its name, but for one that holds `[`, `*` or `?`.
    lists = {
        glob.escape(str(directory)): (str(directory), sorted(os.listdir(directory)))  # noqa: PTH208 - names
        for directory in directories
        if directory.is_dir()
    }

    def iglob(pattern: str) -> Iterator[str]:
        searched, _, name = pattern.rpartition("/")
        stem = name.removesuffix(".*")
        known = lists.get(searched)
        if known is None or stem == name or glob.has_magic(stem):
            return glob.iglob(pattern)  # noqa: PTH207 - it stands in for it
        directory, names = known
        return (f"{directory}/{entry}" for entry in names if entry.startswith(f"{stem}."))

    loader.glob = SimpleNamespace(glob=glob.glob, iglob=iglob)


def search_again() -> None:
    """Have Ansible's plugin loaders search this process's directory, where a loader's own directory is relative.

    That of shell plugins is.
    """
    from ansible.plugins import loader  # noqa: PLC0415

    for _, each in loader.get_all_plugin_loaders():
        relative = [path for path in each.config or () if not os.path.isabs(os.path.expanduser(path))]  # noqa: PTH111, PTH117
        if relative:
            setattr(each, _PATHS, None)
        if any(Path(path).is_dir() for path in relative):
            getattr(each, _CLEAR)()


def look_beside_playbooks_first() -> None:
    """Have a collection beside a playbook hide one of its name that is loaded already, as in a new process."""
    from ansible.utils.collection_loader import _collection_finder as finding  # noqa: PLC0415

    finder: Any = finding._AnsibleCollectionFinder  # noqa: SLF001 - there is no public name
    ordinary = finder.set_playbook_paths

    def set_playbook_paths(self: Any, playbook_paths: Any) -> None:
        ordinary(self, playbook_paths)
        if any(Path(each).is_dir() for each in self._n_playbook_paths):
            forget([name for name in sys.modules if name.startswith(_COLLECTIONS) and not name.startswith(_BUILTIN)])

    finder.set_playbook_paths = set_playbook_paths


def read_kubeconfigs_fast() -> None:
    """Have ``kubernetes`` read kubeconfigs with libyaml.

    Without libyaml, or after an error of it, kubeconfigs are read as usual.
    """
    import yaml  # noqa: PLC0415

    kube_config: Any = sys.modules.get("kubernetes.config.kube_config")
    loader: Any = getattr(yaml, "CSafeLoader", None)
    if kube_config is None or loader is None:
        return
    ordinary: Callable[[Any], Any] = yaml.safe_load

    def safe_load(stream: Any) -> Any:
        text = stream if isinstance(stream, (str, bytes)) else stream.read()
        try:
            return yaml.load(text, Loader=loader)  # noqa: S506 - it is a safe one
        except yaml.YAMLError:
            if text is not stream:
                stream.seek(0)
            return ordinary(stream)

    kube_config.yaml = SimpleNamespace(**{**vars(yaml), "safe_load": safe_load})
