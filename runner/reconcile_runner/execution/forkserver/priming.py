"""Loads Ansible into a zygote and fills its caches.

It uses Ansible's loaders, because a play would leave threads. What is loaded belongs to the environment and to the
files that exist then. ``Primed.files`` names them, so that the server replaces the zygote when they change.

Only what comes with Ansible is loaded. A user's plugin, and ansible-runner's callback, may keep state of a run in their
modules as soon as they are imported, so each run imports them itself.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import importlib.util
import io
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reconcile_runner.execution.forkserver import configuration, handover, importedstate
from reconcile_runner.execution.forkserver.configuration import FileStates, state_of
from reconcile_runner.execution.forkserver.importedstate import ReadVariables
from reconcile_runner.execution.forkserver.modules import payloads, preload, rolemodules
from reconcile_runner.execution.forkserver.modules.archives import Archives
from reconcile_runner.execution.forkserver.modules.child import Stock
from reconcile_runner.execution.forkserver.modules.importsystem import ImportSystem
from reconcile_runner.execution.forkserver.patches import display, plugincode, startup, worker
from reconcile_runner.execution.forkserver.patches.plugins import OwnPlugins
from reconcile_runner.execution.forkserver.patches.templates import Templates
from reconcile_runner.execution.forkserver.patches.yamlfiles import ParsedFiles

_LOADED_CLASSES = (
    "action", "become", "cache", "callback", "connection", "inventory", "lookup", "shell", "strategy", "vars",
)  # fmt: skip
_INSTANCES = "_plugin_instance_cache"
_PATHS = "_paths"
_COLLECTIONS = "ansible_collections"
"""Below a directory of collections: beside it may be anything else, a role, too."""

_CONFIGURE_COLLECTIONS = "_configure_collection_loader"


@dataclass(frozen=True, slots=True)
class Primed:
    """What a zygote has loaded.

    - ``controller``: the import system of a play; this process has the one of modules
    - ``stock``: what modules use
    - ``templates``, ``parsed_files``: what plays use
    - ``published``: the directory in which plays publish sources for later ones
    - ``scratch``: the directory in which Ansible makes a directory for the temporary files of each run
    - ``printed``: what importing Ansible prints, as every run in this environment would
    - ``files``: the files that the loaded code and settings depend on
    - ``needs_directory``: a setting depends on the directory that a run is started in, so no run can be forked
    """

    controller: ImportSystem
    stock: Stock
    templates: Templates
    parsed_files: ParsedFiles
    published: Path
    scratch: Path
    printed: bytes = b""
    files: FileStates = field(default_factory=dict)
    needs_directory: bool = False

    def update(self) -> bool:
        """Prepare what runs have published; return whether they have published anything."""
        if not handover.has_pending(self.published):
            return False
        self.stock.archives.update()
        with (
            self.controller.installed(instead_of=self.stock.target.imports),
            display.discard_messages(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            self.templates.update()
            self.parsed_files.update()
        return True


def prime(read_terminal: Callable[[], bytes], directory: Path, sources: Iterable[Path]) -> Primed:
    """Load Ansible as ``ansible-playbook`` does in this environment.

    Raises any exception that Ansible, a plugin or a library raises. stdout must be a terminal, as in a run: Ansible
    looks at it when it is imported. ``read_terminal`` returns what was written to it. ``directory`` is made for the
    zips of modules. ``sources`` are the roles and playbooks whose modules are prepared.
    """
    with importedstate.reading() as read:
        return _prime(read_terminal, directory, sources, read)


def _prime(read_terminal: Callable[[], bytes], directory: Path, sources: Iterable[Path], read: ReadVariables) -> Primed:
    new = ImportSystem.current()
    files = configuration.config_files(os.environ)
    # Its command line first, which sets up what the rest of it finds.
    importlib.import_module("ansible.cli.playbook")
    from ansible import constants  # noqa: PLC0415 - only here: the server must not load Ansible
    from ansible.config import manager  # noqa: PLC0415

    printed = read_terminal()
    collections = [Path(path) for path in constants.COLLECTIONS_PATHS]
    own = Path(constants.__file__).parent
    files |= configuration.collection_files(collections) | {str(own / "release.py"): state_of(str(own / "release.py"))}
    with display.discard_messages():
        _fill_caches([own, *preload.preloaded(collections)])
        files |= _configured_directories()
        startup.share_parser()
        startup.look_beside_playbooks_first()
        kept = [*startup.define_callback_settings(), *_actions(preload.preloaded(collections))]
        files |= {str(path): state_of(str(path)) for path in kept}
        plugincode.install(kept)
        startup.keep_file_lists(_plugin_directories([own, *preload.preloaded(collections)]))
        target = preload.load(new, collections)
        startup.read_kubeconfigs_fast()
        payloads.install(directory, directory / "published", [own, *(each / _COLLECTIONS for each in collections)])
        published = directory / "published"
        published.mkdir(mode=0o700)
        templates, parsed_files = Templates(published), ParsedFiles(published)
        if _reuses_templates():
            plugins = OwnPlugins([own, *preload.preloaded(collections)])
            worker.install(plugins)
            templates.install(plugins)
        rolemodules.make_archives(sources)
        parsed_files.install()
    read_terminal()
    scratch = Path(constants.DEFAULT_LOCAL_TMP)
    shutil.rmtree(scratch)
    # What libraries have registered to run at exit stays: their imports in a run would have.
    atexit.unregister(manager.cleanup_tmp_file)
    needs_directory = configuration.needs_directory(constants.config, os.environ)
    controller = ImportSystem.current()
    target.imports.install(instead_of=controller)
    primed = Primed(
        controller=controller,
        stock=Stock(target, Archives(directory, published, target), read),
        templates=templates,
        parsed_files=parsed_files,
        published=published,
        scratch=scratch.parent,
        printed=printed,
        files=files,
        needs_directory=needs_directory,
    )
    primed.update()
    return primed


def _reuses_templates() -> bool:
    """Return whether templates are reused, and tasks run in the play's process.

    Not before ansible-core 2.19: its compiler computes constants while it compiles, filters with random results among
    them, and its templating keeps state in the process.
    """
    return importlib.util.find_spec("ansible._internal") is not None


def _fill_caches(roots: Iterable[Path]) -> None:
    """Fill the caches of Ansible's plugin loaders with the plugins below ``roots``."""
    from ansible.plugins import loader  # noqa: PLC0415

    loader.init_plugin_loader()
    # A run calls it again, which warns where it was called before.
    setattr(loader, _CONFIGURE_COLLECTIONS, _collections_are_configured)
    for kind in _LOADED_CLASSES:
        _load_classes(kind, getattr(loader, f"{kind}_loader"))
    # The one loader that keeps what it was asked for, class or not, and hands it out as an instance.
    getattr(loader.vars_loader, _INSTANCES).clear()
    # Otherwise runs take it for filled, and find no group_vars and no host_vars.
    setattr(loader.vars_loader, _PATHS, None)
    # These two load all plugins or none, and a template loads them. With others in a configured directory, that is the
    # run's own matter.
    if OwnPlugins(roots).are_alone_in_templates():
        list(loader.filter_loader.all())
        list(loader.test_loader.all())
        _warm_up()


def _configured_directories() -> FileStates:
    """Return the states of the directories that settings name for plugins, of those too that are not there.

    With those below them, as deep as Ansible looks.
    """
    from ansible.plugins import loader  # noqa: PLC0415

    named = [each.config for _, each in loader.get_all_plugin_loaders()]
    paths = [path for config in named for path in ([config] if isinstance(config, str) else config or ())]
    below = [str(each) for path in paths for pattern in ("*/", "*/*/") for each in Path(path).glob(pattern)]
    return {path: state_of(path) for path in [*paths, *below]}


def _warm_up() -> None:
    """Use Jinja once, so that it builds its tables and imports its modules."""
    from ansible import template  # noqa: PLC0415
    from ansible.parsing.dataloader import DataLoader  # noqa: PLC0415

    templar = template.Templar(loader=DataLoader(), variables={"number": 1})
    # Before ansible-core 2.19 every text is a template.
    trust = getattr(template, "trust_as_template", str)
    templar.template(trust("{{ number + 1 }} and {{ [number] | length }}"))
    if hasattr(templar, "evaluate_conditional"):
        templar.evaluate_conditional(trust("number == 1"))


def _load_classes(kind: str, plugins: Any) -> None:
    """Load the classes of Ansible's own plugins of a kind.

    A run asks for them in two ways, one by one or all at once.
    """
    from ansible import constants  # noqa: PLC0415

    builtin = dict(_builtin_plugins(kind))
    for name, path in builtin.items():
        with contextlib.suppress(Exception):  # one that needs a library that is not here
            if plugins.find_plugin(name) == path:
                plugins.get(name, class_only=True)
    if set(plugins.all(path_only=True)) <= set(builtin.values()):
        list(plugins.all(class_only=True))
    for name in builtin:
        # Otherwise the documentation of a plugin without options is parsed each time it is asked for.
        if kind in constants.CONFIGURABLE_PLUGINS and not constants.config.has_configuration_definition(kind, name):
            constants.config.initialize_plugin_configuration_definitions(kind, name, {})


def _collections_are_configured(prefix_collections_path: list[str] | None = None) -> None:
    if prefix_collections_path:
        raise ValueError("the collections' path cannot be changed after Ansible was loaded")


def _actions(collections: Iterable[Path]) -> Iterator[Path]:
    for collection in collections:
        yield from sorted((collection / "plugins" / "action").glob("*.py"))


def _plugin_directories(roots: Iterable[Path]) -> Iterator[Path]:
    for root in roots:
        yield root / "modules"
        yield from sorted((root / "plugins").glob("*/"))


def _builtin_plugins(kind: str) -> Iterator[tuple[str, str]]:
    import ansible.plugins  # noqa: PLC0415

    directory = Path(ansible.plugins.__file__).parent / kind
    for path in sorted(directory.glob("*.py")):
        if path.stem not in {"__init__", "base"}:  # cache/base.py only warns that it is deprecated
            yield path.stem, str(path)
