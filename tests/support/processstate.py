"""What a task may leave in its process: the process's own state, and that of every loaded module, by name.

It needs the standard library alone: it is loaded into plays.
"""

from __future__ import annotations

import atexit
import contextlib
import contextvars
import ctypes
import decimal
import functools
import gc
import importlib.machinery
import locale
import os
import resource
import signal
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
from types import BuiltinFunctionType, FunctionType, MemberDescriptorType, MethodType, ModuleType
from typing import Any, Final, TypeAlias

State: TypeAlias = dict[str, Hashable]
"""By the name of a thing: what tells whether it is still the same."""

_DEPTH: Final = 6
"""How many objects deep a module's variable is looked into."""

_ENTRIES: Final = 500
"""How many entries of a container are looked at. Its length counts always."""

_SEEN_BETTER: Final = frozenset({"sys:modules", "sys:path", "sys:meta_path", "sys:path_importer_cache", "os:environ"})
"""Variables of modules that have names of their own here."""

_ATOMS: Final = frozenset({int, str, bytes, bool, complex, type(None), type(...), type(NotImplemented), range})
_LIMITS: Final = tuple(name for name in dir(resource) if name.startswith("RLIMIT_"))
_LOCKS: Final = (type(threading.Lock()), type(threading.RLock()))
_CACHE: Final = type(functools.lru_cache(maxsize=1)(len))


def look(given: Mapping[str, object], modules: Collection[str] | None = None) -> State:
    """Return the state of this process, of modules that it has loaded, and of the objects in ``given``, by name.

    ``modules``: the names of those that are looked into; None: all.
    """
    loaded = {name: each for name, each in sys.modules.items() if name != __name__}
    return {
        **_of_process(),
        **{f"imported {name}": True for name in loaded},
        **_of_modules(loaded if modules is None else {name: loaded[name] for name in modules}),
        **_of_objects(given),
    }


def watch_imports() -> None:
    """Note from now on what modules hold when they have been imported, from files of Python."""
    import_system: Any = importlib.machinery.SourceFileLoader.__mro__[-2]  # what all loaders of files have in common
    ordinary: Callable[[object, ModuleType], None] = import_system.exec_module

    def exec_module(self: object, module: ModuleType) -> None:
        ordinary(self, module)
        _imported.update(_of_modules({module.__name__: module}))

    import_system.exec_module = exec_module


_imported: State = {}


def differences(before: State, after: State) -> list[str]:
    """Return the names of what is not as it was, came or went.

    Of a module that was imported meanwhile, that is what is not as it was when it had been imported.
    """
    new = {name for name in after if name.startswith("imported ") and name not in before}
    known = {**_imported, **before}

    def is_of_import(name: str) -> bool:
        module, _, variable = name.partition(":")
        return (f"imported {module}" in new and name not in known) or f"imported {module}.{variable}" in new

    return sorted(
        name
        for name in before.keys() | after.keys()
        if known.get(name) != after.get(name) and not is_of_import(name) and name not in _SEEN_BETTER
    )


def _of_process() -> State:
    umask = os.umask(0o077)
    os.umask(umask)
    wakeup = signal.set_wakeup_fd(-1) if threading.current_thread() is threading.main_thread() else None
    if wakeup is not None:
        signal.set_wakeup_fd(wakeup)
    return {
        **{f"environment {name}": value for name, value in os.environ.items()},
        "environment of the C library": tuple(_c_environment()),
        "directory": os.getcwd(),  # noqa: PTH109 - of the process
        "umask": umask,
        **{f"signal {number}": _signal(number) for number in range(1, signal.NSIG)},
        "blocked signals": frozenset(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        "signals' descriptor": wakeup,
        **{f"timer {which}": signal.getitimer(which) for which in (signal.ITIMER_REAL, signal.ITIMER_PROF)},
        **{f"descriptor {number}": target for number, target in _descriptors()},
        **{f"limit {name}": resource.getrlimit(getattr(resource, name)) for name in _LIMITS},
        "threads": len(os.listdir("/proc/self/task")),  # noqa: PTH208 - names
        "children": tuple(_children()),
        "users and groups": (os.getresuid(), os.getresgid(), tuple(os.getgroups()), os.getpgrp(), os.getsid(0)),
        "priority": os.getpriority(os.PRIO_PROCESS, 0),
        "locale": locale.setlocale(locale.LC_ALL),
        "time zone": (time.tzname, time.timezone),
        "socket timeout": socket.getdefaulttimeout(),
        "decimal context": repr(decimal.getcontext()),
        "context variables": tuple((each.name, id(value)) for each, value in contextvars.copy_context().items()),
        "garbage collection": (gc.isenabled(), gc.get_threshold()),
        "recursion limit": sys.getrecursionlimit(),
        "tracing": (sys.gettrace(), sys.getprofile()),
        "exit functions": atexit._ncallbacks(),
        "sys.path": tuple(sys.path),
        "sys.meta_path": tuple(map(id, sys.meta_path)),
        "sys.path_hooks": tuple(map(id, sys.path_hooks)),
        "standard streams": (id(sys.stdin), id(sys.stdout), id(sys.stderr)),
    }


def _signal(number: int) -> Hashable:
    try:
        handler = signal.getsignal(number)
    except ValueError:
        return None
    return id(handler) if callable(handler) else handler


def _c_environment() -> Iterator[bytes]:
    environment = ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), "environ")
    number = 0
    while environment and (entry := environment[number]) is not None:
        yield entry
        number += 1


def _descriptors() -> Iterator[tuple[str, str]]:
    for number in os.listdir("/proc/self/fd"):  # noqa: PTH208 - names
        with contextlib.suppress(OSError):  # the one of the directory itself
            yield number, os.readlink(f"/proc/self/fd/{number}")  # noqa: PTH115


def _children() -> Iterator[str]:
    for thread in os.listdir("/proc/self/task"):  # noqa: PTH208 - names
        with open(f"/proc/self/task/{thread}/children", encoding="utf-8") as file:  # noqa: PTH123
            yield from file.read().split()


def _of_modules(modules: Mapping[str, object]) -> State:
    found: State = {}
    digest = _Digest()
    for name, module in modules.items():
        if not isinstance(module, ModuleType):
            continue
        for variable, value in list(vars(module).items()):
            if isinstance(value, type) and value.__module__ == name:
                found.update(_of_class(f"{name}:{variable}", value, digest))
            else:
                found[f"{name}:{variable}"] = digest.of(value)
    return found


def _of_objects(given: Mapping[str, object]) -> State:
    digest = _Digest()
    found: State = {}
    for name, value in given.items():
        for attribute, each in vars(value).items():
            found[f"{name}.{attribute}"] = digest.of(each)
    return found


def _of_class(name: str, value: type, digest: _Digest) -> Iterator[tuple[str, Hashable]]:
    yield name, id(value)
    for attribute, each in list(vars(value).items()):
        yield f"{name}.{attribute}", digest.of(each)


class _Digest:
    """Digests of objects, each made once."""

    def __init__(self) -> None:
        self._made: dict[tuple[int, int], Hashable] = {}
        self._kept: list[object] = []

    def of(self, value: object) -> int:
        return hash(self._of(value, _DEPTH))

    def _of(self, value: Any, depth: int) -> Hashable:
        kind = type(value)
        if kind in _ATOMS:
            return value  # type: ignore[no-any-return]
        key = (id(value), depth)
        made = self._made.get(key)
        if made is None:
            self._made[key] = "itself"
            self._kept.append(value)  # or another object may get its id
            made = self._made[key] = hash((id(kind), self._content(value, kind, depth)))
        return made

    def _content(self, value: Any, kind: type, depth: int) -> Hashable:
        if issubclass(kind, (type, ModuleType, BuiltinFunctionType)):
            return id(value)
        if kind is FunctionType:
            return self._function(value, depth)
        if kind is _CACHE:
            return (id(value), value.cache_info().currsize)
        if kind in _LOCKS:
            return repr(value).split()[0]
        if issubclass(kind, float):
            return repr(value)
        if depth == 0:
            return len(value) if isinstance(value, (dict, list, tuple, set, frozenset, deque)) else None
        return self._parts(value, kind, depth - 1)

    def _parts(self, value: Any, kind: type, depth: int) -> Hashable:
        if isinstance(value, (staticmethod, classmethod, MethodType)):
            return self._of(value.__func__, depth)
        parts: list[Hashable] = []
        if isinstance(value, dict):
            items = list(value.items())
            parts += [len(items), *((self._of(k, depth), self._of(v, depth)) for k, v in items[:_ENTRIES])]
        elif isinstance(value, (list, tuple, deque)):
            parts += [len(value), *(self._of(each, depth) for each in list(value)[:_ENTRIES])]
        elif isinstance(value, (set, frozenset)):
            parts += [len(value), frozenset(self._of(each, depth) for each in list(value)[:_ENTRIES])]
        elif isinstance(value, (str, bytes, int)):
            parts.append(hash(value))
        parts += [(name, self._of(each, depth)) for name, each in _attributes(value, kind)]
        return tuple(parts)

    def _function(self, value: FunctionType, depth: int) -> Hashable:
        inner = (value.__defaults__, value.__kwdefaults__, vars(value) or None)
        cells = tuple(_cell(cell) for cell in value.__closure__ or ())
        if depth == 0 or not (cells or any(inner)):
            return (id(value), id(value.__code__))
        return (id(value), id(value.__code__), *(self._of(each, depth - 1) for each in (*inner, *cells)))


def _cell(cell: Any) -> object:
    try:
        return cell.cell_contents
    except ValueError:
        return None


def _attributes(value: Any, kind: type) -> Iterator[tuple[str, object]]:
    with contextlib.suppress(AttributeError):  # not by ``getattr``, which may run any code
        yield from list(object.__getattribute__(value, "__dict__").items())
    for name, slot in _slots(kind):
        with contextlib.suppress(AttributeError):
            yield name, slot.__get__(value, kind)


@functools.cache
def _slots(kind: type) -> tuple[tuple[str, MemberDescriptorType], ...]:
    return tuple(
        (name, slot)
        for each in kind.__mro__
        for name, slot in vars(each).items()
        if isinstance(slot, MemberDescriptorType)
    )
