# ruff: noqa: PTH109, PTH115, PTH120, PTH208
"""Tells what is a process's own: what an import can change in it, besides the modules that it loads."""

import builtins
import copyreg
import decimal
import gc
import locale
import logging
import multiprocessing
import os
import resource
import signal
import socket
import sys
import tempfile
import threading
import time
import urllib.request
import warnings
import weakref


def look():
    """Return it by name, as JSON can hold it."""
    return {**_imports(), **_handlers(), **_surroundings(), **_interpreter(), **_libraries()}


def name_of(each):
    """Return the name of a class or function, or of the class of another object."""
    named = each if hasattr(each, "__qualname__") else type(each)
    return f"{named.__module__}.{named.__qualname__}"


def _imports():
    finder = type(sys.path_importer_cache.get(os.path.dirname(os.__file__)))
    return {
        "meta_path": [name_of(each) for each in sys.meta_path],
        "path_hooks": [name_of(each) for each in sys.path_hooks],
        "importers": sorted(
            {name_of(each) for each in sys.path_importer_cache.values() if each and not isinstance(each, finder)}
        ),
        "path": [entry for entry in sys.path if "payload" not in entry],
        "import": name_of(builtins.__import__),
    }


def _handlers():
    loggers = {"": logging.root, **logging.root.manager.loggerDict}
    return {
        "log_handlers": {name: [name_of(h) for h in each.handlers] for name, each in loggers.items() if _is_set(each)},
        "log_levels": {
            name: each.level for name, each in loggers.items() if isinstance(each, logging.Logger) and each.level
        },
        "log_filters": {
            name: len(each.filters)
            for name, each in loggers.items()
            if isinstance(each, logging.Logger) and each.filters
        },
        "log_disabled": logging.root.manager.disable,
        "log_names": dict(logging._levelToName),
        "log_classes": [name_of(logging.getLoggerClass()), name_of(logging.getLogRecordFactory())],
        "signals": {int(each): _handler(each) for each in signal.valid_signals()},
        "blocked": sorted(int(each) for each in signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "alarms": [signal.getitimer(each)[0] for each in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL)],
        "thread_exits": [name_of(each) for each in _of_threads()],
        "finalizers_run": weakref.finalize._registered_with_atexit,
        "hooks": [
            name_of(each)
            for each in (sys.excepthook, sys.displayhook, sys.unraisablehook, sys.breakpointhook, threading.excepthook)
        ],
        "traced": [str(sys.gettrace()), str(sys.getprofile())],
    }


def _handler(number):
    found = signal.getsignal(number)
    return name_of(found) if callable(found) else str(found)


def _is_set(each):
    return isinstance(each, logging.Logger) and each.handlers


def _of_threads():
    """Return the functions that run when threads are to end, which Python wraps."""
    for each in getattr(threading, "_threading_atexits", ()):
        cells = getattr(each, "__closure__", None) or ()
        yield next((cell.cell_contents for cell in cells if callable(cell.cell_contents)), getattr(each, "func", each))


def _surroundings():
    umask = os.umask(0o077)
    os.umask(umask)
    return {
        "cwd": os.getcwd(),
        "umask": umask,
        "environment": dict(os.environ),
        "descriptors": sorted(_descriptors()),
        "threads": [type(each).__name__ for each in threading.enumerate()],
        "priority": os.getpriority(os.PRIO_PROCESS, 0),
        "processors": sorted(os.sched_getaffinity(0)),
        "limits": {
            name: resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name.startswith("RLIMIT_")
        },
        "ids": [os.getuid(), os.geteuid(), os.getgid(), os.getegid(), sorted(os.getgroups())],
    }


def _descriptors():
    for each in os.listdir("/proc/self/fd"):
        try:
            opened = os.readlink(f"/proc/self/fd/{each}").split(":")[0]
        except OSError:  # of the list itself
            continue
        if "payload" not in opened:
            yield f"{each} {opened}"


def _interpreter():
    streams = (sys.stdin, sys.stdout, sys.stderr)
    return {
        "builtins": {name: name_of(each) for name, each in sorted(vars(builtins).items()) if name != "_"},
        "warnings": [[str(part) for part in each] for each in warnings.filters],
        "show_warning": name_of(warnings.showwarning),
        "flags": str(sys.flags),
        "arguments": [len(sys.argv), *(sys.orig_argv[:1])],
        "places": [sys.executable, sys.prefix, sys.base_prefix],
        "streams": [_kind(each) for each in streams],
        "originals": [sys.stdin is sys.__stdin__, sys.stdout is sys.__stdout__, sys.stderr is sys.__stderr__],
        "limits_of_python": [sys.getrecursionlimit(), sys.getswitchinterval(), sys.get_int_max_str_digits()],
        "collector": [gc.isenabled(), gc.get_threshold(), len(gc.callbacks), gc.get_debug()],
        "writes_bytecode": not sys.dont_write_bytecode,
        "locale": locale.setlocale(locale.LC_ALL),
        "encodings": [sys.getfilesystemencoding(), sys.getdefaultencoding(), locale.getpreferredencoding()],
        "zone": time.tzname,
        "main": sorted(name for name in vars(sys.modules["__main__"]) if name.startswith("__")),
    }


def _kind(stream):
    if stream is None or stream.closed:
        return [str(stream is None)]
    return [stream.encoding, stream.errors, stream.line_buffering, stream.isatty(), type(stream).__name__]


def _libraries():
    process = multiprocessing.current_process()
    return {
        "socket_timeout": socket.getdefaulttimeout(),
        "opener": name_of(urllib.request._opener),
        "temporary": tempfile.tempdir,
        "decimals": str(decimal.getcontext()),
        "pickled": sorted(name_of(each) for each in copyreg.dispatch_table),
        "process": [process.name, process.daemon, str(multiprocessing.parent_process())],
        "start_method": multiprocessing.get_start_method(allow_none=True),
    }
