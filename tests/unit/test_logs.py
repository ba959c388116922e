from __future__ import annotations

import io
import json
import logging
import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from reconcile_runner import logs
from reconcile_runner.apimachinery.objects import GroupVersionKind, ObjectKey
from reconcile_runner.options import LogFormat, LogLevel
from tests.support.fakes.logs import logging_restored
from tests.support.paths import REPOSITORY

FOO = GroupVersionKind("tutorial.my.domain", "v1", "Foo")


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    with logging_restored():
        yield


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def json_stream(level: LogLevel = LogLevel.INFO) -> io.StringIO:
    stream = io.StringIO()
    logs.set_up(LogFormat.JSON, level, stream)
    return stream


def test_a_json_line_has_upstreams_keys_first_and_then_what_was_said() -> None:
    stream = json_stream()
    logs.get_logger("reconcile_runner.controller.controller").info("reconciled", requeue_after_seconds=1.5)
    (line,) = lines(stream)
    ts = datetime.fromisoformat(line.pop("ts"))
    assert ts.tzinfo == UTC
    assert line == {
        "level": "info",
        "logger": "controller",
        "msg": "reconciled",
        "requeue_after_seconds": 1.5,
    }
    assert list(json.loads(stream.getvalue()))[:4] == ["level", "ts", "logger", "msg"]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("reconcile_runner.controller.source", "controller"),
        ("reconcile_runner.execution.forkserver.engine", "execution.forkserver"),
        ("reconcile_runner.recorder", "recorder"),
        ("reconcile_runner.cli", "cli"),
        ("reconcile_runner", "reconcile_runner"),
        ("role", "role"),
        ("aiohttp.server", "aiohttp.server"),
    ],
)
@pytest.mark.parametrize("get_logger", [logs.get_logger, logging.getLogger])
def test_the_logger_of_a_line_is_the_package_of_its_module(
    name: str, shown: str, get_logger: Callable[[str], logging.Logger]
) -> None:
    stream = json_stream()
    get_logger(name).warning("m")
    (line,) = lines(stream)
    assert line["logger"] == shown


def test_every_module_takes_the_logger_of_its_own_name_but_that_of_roles() -> None:
    package = REPOSITORY / "runner" / "reconcile_runner"
    taken = {
        (path.relative_to(package).as_posix(), name)
        for path in package.rglob("*.py")
        for name in re.findall(r"get_logger\(([^)]*)\)", path.read_text())
        if path != package / "logs.py"
    }
    assert len(taken) > 20
    assert {(path, name) for path, name in taken if name != "__name__"} == {("reconciler/joblog.py", '"role"')}


def test_a_logger_taken_before_set_up_obeys_the_last_set_up() -> None:
    logger = logs.get_logger("early")
    first = json_stream()
    logger.info("one")
    second = json_stream(LogLevel.DEBUG)
    logger.debug("two")
    assert [line["msg"] for line in lines(first)] == ["one"]
    assert [line["msg"] for line in lines(second)] == ["two"]


@pytest.mark.parametrize(
    ("level", "written"),
    [
        (LogLevel.DEBUG, ["debug", "info", "warn", "error", "panic"]),
        (LogLevel.INFO, ["info", "warn", "error", "panic"]),
        (LogLevel.ERROR, ["error", "panic"]),
        (LogLevel.PANIC, ["panic"]),
    ],
)
def test_only_lines_as_severe_as_the_level_are_written_in_zaps_spelling(level: LogLevel, written: list[str]) -> None:
    stream = json_stream(level)
    logger = logs.get_logger("x")
    logger.debug("m")
    logger.info("m")
    logger.warning("m")
    logger.error("m")
    logger.critical("m")
    assert [line["level"] for line in lines(stream)] == written


def test_the_context_of_a_reconcile_is_in_every_line_inside_and_in_none_outside() -> None:
    stream = json_stream()
    logger = logs.get_logger("x")
    with logs.reconcile_context(FOO, ObjectKey("default", "foo-01"), "7f"):
        logger.info("inside")
        logging.getLogger("some.library").info("of a library")
    logger.info("outside")
    inside, of_library, outside = lines(stream)
    context = {
        "gvk": "tutorial.my.domain/v1, Kind=Foo",
        "namespace": "default",
        "name": "foo-01",
        "reconcile_id": "7f",
    }
    assert context.items() <= inside.items()
    assert context.items() <= of_library.items()
    assert not context.keys() & outside.keys()


def test_lines_of_the_standard_library_take_the_same_way() -> None:
    stream = json_stream()
    logging.getLogger("aiohttp.server").error("cannot %s", "serve")
    (line,) = lines(stream)
    assert (line["level"], line["logger"], line["msg"]) == ("error", "aiohttp.server", "cannot serve")


def test_what_libraries_say_of_every_request_is_not_written_even_at_debug() -> None:
    stream = json_stream(LogLevel.DEBUG)
    for name in ("asyncio", "aiohttp.access", "kubernetes.client.rest", "urllib3.connectionpool"):
        logging.getLogger(name).info("GET /")
    assert stream.getvalue() == ""


@pytest.mark.parametrize("of_the_library", [False, True], ids=["ours", "library"])
def test_an_exception_is_one_line_with_its_stack(of_the_library: bool) -> None:
    stream = json_stream()
    empty: dict[str, str] = {}
    try:
        empty["gone"]
    except KeyError:
        if of_the_library:
            logging.getLogger("asyncio").exception("task failed")
        else:
            logs.get_logger("x").exception("task failed")
    (line,) = lines(stream)
    assert (line["level"], line["msg"], line["error"]) == ("error", "task failed", "KeyError: 'gone'")
    assert line["stacktrace"].startswith("Traceback")
    assert "exc_info" not in line


def test_an_exception_handed_over_as_a_value_is_explained_too() -> None:
    stream = json_stream()
    logs.get_logger("x").error("task failed", exc_info=ValueError("bad"))
    assert lines(stream)[0]["error"] == "ValueError: bad"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a\nb", "a\nb"),
        (ObjectKey("default", "foo-01"), "default/foo-01"),
        (FOO, "tutorial.my.domain/v1, Kind=Foo"),
        (frozenset({"x"}), "frozenset({'x'})"),
        (2**70, 2**70),
        ("lone \ud800 surrogate", "lone \ud800 surrogate"),
    ],
    ids=["newline", "key", "kind", "set", "huge", "surrogate"],
)
def test_any_value_fits_in_one_line(value: object, expected: object) -> None:
    stream = json_stream()
    logs.get_logger("x").info("value", value=value)
    (line,) = lines(stream)
    assert line["value"] == expected


def test_pythons_warnings_become_log_lines() -> None:
    stream = json_stream()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        # catch_warnings restores the printing function, which set_up had replaced.
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn("old habit", UserWarning, stacklevel=1)
        logging.captureWarnings(capture=False)
    (line,) = lines(stream)
    assert (line["level"], line["logger"]) == ("warn", "py.warnings")
    assert "old habit" in line["msg"]


def test_the_console_has_colour_only_on_a_terminal() -> None:
    terminal, file = Terminal(), io.StringIO()
    for stream in (terminal, file):
        logs.set_up(LogFormat.CONSOLE, LogLevel.INFO, stream)
        logs.get_logger("reconcile_runner.x").info("ready", gvk="Foo")
    assert "\x1b[" in terminal.getvalue()
    assert "\x1b[" not in file.getvalue()
    for part in ("ready", "gvk=Foo", "[x]", "info"):
        assert part in file.getvalue()


def test_an_error_that_nothing_handled_ends_the_process_with_one_json_line() -> None:
    program = (
        "from reconcile_runner import logs; from reconcile_runner.options import LogFormat, LogLevel\n"
        "logs.set_up(LogFormat.JSON, LogLevel.INFO)\n"
        "raise RuntimeError('a bug')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 1
    line = json.loads(done.stderr)
    assert (line["level"], line["error"]) == ("panic", "RuntimeError: a bug")


def test_a_line_for_people_names_the_object_shortly() -> None:
    file = io.StringIO()
    with logging_restored():
        logs.set_up(LogFormat.CONSOLE, LogLevel.INFO, file)
        with logs.reconcile_context(GroupVersionKind("g", "v1", "Foo"), ObjectKey("default", "foo-01"), "r-1"):
            logs.get_logger("reconciler").info("reconciled", ok=5, job="42")
    line = file.getvalue()
    assert re.match(r"\d\d:\d\d:\d\d \[info", line)
    assert "foo=default/foo-01" in line
    assert "ok=5" in line
    assert not [word for word in ("r-1", "42", "Kind=") if word in line.split("reconciled", 1)[1]]
