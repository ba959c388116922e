"""Structured logs: one event a line, JSON or, at a terminal, text in colour.

A message is constant; what varies is in keys. ``reconcile_context`` binds the reconciled object once, for all lines of
a reconcile. Lines of the standard library's loggers (aiohttp, asyncio, kubernetes) take the same way out. The keys
``level``, ``ts``, ``logger`` and ``msg`` are those of upstream's zap encoder, and so is the spelling of levels.
"""

from __future__ import annotations

import enum
import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from types import TracebackType
from typing import Any, TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from reconcile_runner.apimachinery.objects import GroupVersionKind, ObjectKey
from reconcile_runner.options import LogFormat, LogLevel


class LogKey(enum.StrEnum):
    """The keys of log lines.

    Those of upstream keep upstream's name; all are snake case.
    """

    LEVEL = "level"
    TS = "ts"
    LOGGER = "logger"
    MSG = "msg"
    ERROR = "error"
    STACKTRACE = "stacktrace"
    NAME = "name"
    NAMESPACE = "namespace"
    GVK = "gvk"
    EVENT_TYPE = "event_type"
    JOB = "job"
    RECONCILE_ID = "reconcile_id"
    TASK = "task"
    TASK_PATH = "task_path"
    ITEM = "item"
    STDOUT = "stdout"
    EVENT_DATA = "event_data"
    RECAP = "recap"
    DURATION_SECONDS = "duration_seconds"
    REQUEUE_AFTER_SECONDS = "requeue_after_seconds"


_LEVELS = {
    LogLevel.DEBUG: logging.DEBUG,
    LogLevel.INFO: logging.INFO,
    LogLevel.ERROR: logging.ERROR,
    LogLevel.PANIC: logging.CRITICAL,
}
_PACKAGE_PREFIX = "reconcile_runner."
_ZAP_NAMES = {"warning": "warn", "critical": "panic"}
_CHATTY = ("asyncio", "urllib3", "aiohttp.access", "kubernetes")


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return a logger; ``name`` is the module's ``__name__``.

    ``set_up`` may come later.

    Lines of a module name its package: ``controller`` for ``reconcile_runner.controller.source``, ``recorder`` for
    ``reconcile_runner.recorder``.
    """
    return structlog.stdlib.get_logger(name)


@contextmanager
def reconcile_context(gvk: GroupVersionKind, key: ObjectKey, reconcile_id: str) -> Iterator[None]:
    """Bind the reconciled object to every line that is logged inside.

    Tasks that are started inside have it, too.
    """
    bound = {
        LogKey.GVK.value: str(gvk),
        LogKey.NAMESPACE.value: key.namespace,
        LogKey.NAME.value: key.name,
        LogKey.RECONCILE_ID.value: reconcile_id,
    }
    with structlog.contextvars.bound_contextvars(**bound):
        yield


def set_up(log_format: LogFormat, level: LogLevel, stream: TextIO | None = None) -> None:
    """Send every log line to ``stream`` (default: standard error).

    May be called again; the last call counts.

    Also for lines that no logger wrote: Python's warnings, and an exception that ends the process, become log lines.
    """
    out = stream if stream is not None else sys.stderr
    handler = logging.StreamHandler(out)
    handler.setFormatter(_formatter(log_format, colour=out.isatty()))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(_LEVELS[level])
    for name in _CHATTY:
        # Below a warning they log every request, headers and bodies included.
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    logging.captureWarnings(capture=True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared_processors(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    sys.excepthook = _log_uncaught


def _shared_processors() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        _package_for_module,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key=LogKey.TS.value),
        _zap_level,
    ]


def _formatter(log_format: LogFormat, *, colour: bool) -> structlog.stdlib.ProcessorFormatter:
    match log_format:
        case LogFormat.JSON:
            last: list[Processor] = [
                _explain_exception,
                structlog.processors.EventRenamer(LogKey.MSG.value),
                _upstream_order,
                structlog.processors.JSONRenderer(serializer=_to_json),
            ]
        case LogFormat.CONSOLE:
            last = [
                _for_people,
                structlog.dev.ConsoleRenderer(
                    colors=colour,
                    pad_event_to=34,
                    timestamp_key=LogKey.TS.value,
                    exception_formatter=structlog.dev.plain_traceback,
                ),
            ]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_shared_processors(),
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
    )


def _package_for_module(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Name the logger as users see it: a module's package below this one.

    Names of other packages stay.
    """
    name = event[LogKey.LOGGER]
    if name.startswith(_PACKAGE_PREFIX):
        below = name.removeprefix(_PACKAGE_PREFIX)
        # A module or package right below this one has no package in between.
        event[LogKey.LOGGER] = below.rpartition(".")[0] or below
    return event


def _zap_level(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    level = event[LogKey.LEVEL]
    event[LogKey.LEVEL] = _ZAP_NAMES.get(level, level)
    return event


def _explain_exception(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    info = event.pop("exc_info", None)
    if info is True:
        info = sys.exc_info()
    elif isinstance(info, BaseException):
        info = (type(info), info, info.__traceback__)
    if isinstance(info, tuple) and info[1] is not None:
        event.setdefault(LogKey.ERROR.value, f"{type(info[1]).__name__}: {info[1]}")
        event[LogKey.STACKTRACE.value] = structlog.processors.format_exc_info(None, "", {"exc_info": info})["exception"]
    return event


def _upstream_order(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    first = {key.value: event.pop(key.value) for key in (LogKey.LEVEL, LogKey.TS, LogKey.LOGGER, LogKey.MSG)}
    return {**first, **event}


def _for_people(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Shorten a line for a terminal; the JSON format has everything."""
    for key in (LogKey.RECONCILE_ID, LogKey.JOB, LogKey.EVENT_TYPE):
        event.pop(key.value, None)
    if LogKey.NAME.value in event:
        kind = str(event.pop(LogKey.GVK.value, "")).rpartition("Kind=")[2]
        place = ObjectKey(event.pop(LogKey.NAMESPACE.value, ""), event.pop(LogKey.NAME.value))
        event[kind.lower() or "object"] = str(place)
    moment = datetime.fromisoformat(event[LogKey.TS.value])
    event[LogKey.TS.value] = moment.astimezone().strftime("%H:%M:%S")
    return event


def _to_json(event: EventDict, **_: Any) -> str:
    try:
        return orjson.dumps(
            event, default=str, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS
        ).decode()
    except orjson.JSONEncodeError:
        # Ansible's output may hold what no JSON text can (lone surrogates, huge integers): escaped rather than lost.
        return json.dumps(event, default=str)


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    get_logger("reconcile_runner").critical("unhandled error", exc_info=(kind, error, trace))
