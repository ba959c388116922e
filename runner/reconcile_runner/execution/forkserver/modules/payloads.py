"""Keeps modules' zips from run to run.

Building one takes longer than running a module. Ansible keeps them for one run, by the module's name alone. Here they
are kept as long as a zygote lives and no file of collections that went into them has changed, and only those of modules
and shared code that the zygote's environment determines.
A role's own modules, or a directory ``module_utils`` or ``collections`` that a run brings, are read by each run.
"""

from __future__ import annotations

import base64
import contextlib
import inspect
import marshal
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from reconcile_runner.execution.forkserver.configuration import state_of
from reconcile_runner.execution.forkserver.handover import Topic, publish
from reconcile_runner.execution.forkserver.modules.archives import checksums

_FIND: Final = "_find_module_utils"
_NAME: Final = "_get_ansible_module_fqn"
_SEARCHED: Final = "_get_paths"
_CACHED_MODULE: Final = "_CachedModule"

_SOURCES: Final = ".sources"
"""Suffix of the file that holds the states of the files a zip was made from."""

_CLOCK_TICK: Final = 20_000_000
"""Nanoseconds by which the time of a change may lie before the clock's: the kernel stamps files by the tick."""


@dataclass(frozen=True, slots=True)
class PayloadCache:
    """The zips in ``directory``, of modules below ``roots``.

    ``published``: where the zygote looks for new ones; ``shared``: where their shared code came from.
    """

    directory: Path
    published: Path
    roots: tuple[str, ...]
    shared: tuple[str, ...]


def install(directory: Path, published: Path, roots: Iterable[Path]) -> None:
    """Have Ansible take zips from ``directory`` and put new ones there.

    In this process and its forks.
    """
    from ansible.executor import module_common  # noqa: PLC0415 - not in the server

    directory.mkdir(mode=0o700)
    cache = PayloadCache(directory, published, tuple(f"{root.resolve()}/" for root in roots), _shared_code())
    make = getattr(module_common, _FIND)
    name_of = getattr(module_common, _NAME)
    parameters = inspect.signature(make)

    # By position before ansible-core 2.19, by name since.
    def find_module_utils(*arguments: Any, **named: Any) -> Any:
        path = str(parameters.bind(*arguments, **named).arguments["module_path"])
        here = _here()
        if not _is_fixed(cache, path):
            _forget_linked(here)
            return make(*arguments, **named)
        name = name_of(path)
        _link(cache, here, name)
        begun = time.time_ns()
        built = make(*arguments, **named)
        _keep(cache, here, name, Path(path), begun)
        return built

    setattr(module_common, _FIND, find_module_utils)


def _here() -> Path:
    from ansible import constants  # noqa: PLC0415

    return Path(constants.DEFAULT_LOCAL_TMP) / "ansiballz_cache"


def _shared_code() -> tuple[str, ...]:
    from ansible.plugins.loader import module_utils_loader  # noqa: PLC0415

    return tuple(getattr(module_utils_loader, _SEARCHED)(subdirs=False))


def _is_fixed(cache: PayloadCache, path: str) -> bool:
    """Return whether a module and its zip are the same for every run of this zygote."""
    from ansible.utils.collection_loader import AnsibleCollectionConfig  # noqa: PLC0415

    if not os.path.realpath(path).startswith(cache.roots) or _shared_code() != cache.shared:
        return False
    beside = (Path(os.fsdecode(each)) / "collections" for each in AnsibleCollectionConfig.playbook_paths or ())
    return not any(each.exists() for each in beside)


def _link(cache: PayloadCache, here: Path, name: str) -> None:
    here.mkdir(exist_ok=True)
    for kept in cache.directory.glob(f"{name}-*"):
        if kept.suffix != _SOURCES and _is_current(kept):
            with contextlib.suppress(FileExistsError):
                (here / kept.name).symlink_to(kept)


def _is_current(kept: Path) -> bool:
    """Return whether a kept zip is of the files that are there now."""
    try:
        states = marshal.loads(kept.with_name(kept.name + _SOURCES).read_bytes())  # noqa: S302 - written here
    except OSError:
        return False
    return all(state_of(path) == state for path, state in states.items())


def _forget_linked(here: Path) -> None:
    """Remove links to cached zips: this run has brought code of its own."""
    if here.exists():
        for entry in here.iterdir():
            if entry.is_symlink():
                entry.unlink(missing_ok=True)


def _keep(cache: PayloadCache, here: Path, name: str, module: Path, begun: int) -> None:
    """Keep the zip that was made since ``begun`` (ns), with the states of the files that are in it."""
    for made in here.glob(f"{name}-*"):
        if not made.is_symlink() and made.suffix not in {".lock", ".part"} and not made.name.endswith("-part"):
            with contextlib.suppress(OSError):
                zip_data = _zip_data_of(made)
                states = {str(path): state_of(str(path)) for path in [module, *_collection_files(zip_data)]}
                if any(changed >= begun - _CLOCK_TICK for changed, _, _ in states.values()):
                    continue  # A file may have been written after it was read.
                _write(cache.directory / (made.name + _SOURCES), marshal.dumps(states))
                _write(cache.directory / made.name, made.read_bytes())
                publish(cache.published, Topic.ARCHIVE, (name, zip_data))


def _write(path: Path, content: bytes) -> None:
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.write_bytes(content)
    new.rename(path)


def _collection_files(zip_data: bytes) -> Iterator[Path]:
    """Return the files of collections that a zip (in base64) was made from.

    Ansible's own are not among them: their zygote ends when another ansible-core is installed.
    """
    from ansible import constants  # noqa: PLC0415

    roots = [Path(os.fsdecode(each)) for each in constants.COLLECTIONS_PATHS]
    for entry in checksums(base64.b64decode(zip_data)):
        if entry.startswith("ansible_collections/"):
            collection = "/".join(entry.split("/")[:3])
            found = next((root for root in roots if (root / collection).is_dir()), None)
            if found:
                yield found / entry


def _zip_data_of(made: Path) -> bytes:
    from ansible.executor import module_common  # noqa: PLC0415

    cached = getattr(module_common, _CACHED_MODULE, None)
    if cached is None:  # before ansible-core 2.19: the zip alone
        return made.read_bytes()
    zip_data: bytes = cached.load(str(made)).zip_data
    return zip_data
