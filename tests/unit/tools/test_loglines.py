from __future__ import annotations

from pathlib import Path

import pytest

from tools import loglines
from tools.loglines import LogLine, UnreadableCallError

MODULE = """
_log = get_logger("some.name")

class Watcher:
    def __init__(self):
        self._log = _log.bind(lease="x")

    def lose(self, error):
        self._log.warning("lost", error=str(error))
        _log.debug("lost", seconds=3)
        _log.info("told", **{LogKey.GVK.value: "Foo", **{}})
        self._store.info("no log line")

    def see(self, found):
        message = "seen" if found else "not seen"
        _log.info(message, **words(found), **unknown)

    def end(self):
        try:
            self.say("ended")
        except Exception:
            _log.exception("raised")

    def say(self, text):
        _log.info(text)

def words(found):
    return {"found": found}
"""

WORDED = """
_log = get_logger("x")

class Wording:
    message: str
    key: str

ONE = Wording("one happened", "one_kind")
OTHER: Final = Wording("other happened", "other_kind")

def report(wording, requests):
    keys = {wording.key: "Pod"}
    _log.info(wording.message, **keys, requests=requests)
    _log.info("a constant's key", **{OTHER.key: "Pod"})
"""

PAGE = f"""# Logs

{loglines.BEGIN}

| `msg` | Level | Keys | Meaning |
|---|---|---|---|
| `kept: with a colon` | info |  | It was written by hand. |
| `gone` | info |  | Nobody says this any more. |

{loglines.END}

After.
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "watcher.py").write_text(MODULE)
    return tmp_path


def found(package: Path) -> dict[str, LogLine]:
    return {line.text: line for line in loglines.lines_of(package)}


def test_the_page_is_what_the_code_gives() -> None:
    page = loglines.PAGE.read_text()
    assert page == loglines.render(page, loglines.lines_of(loglines.PACKAGE)), (
        "log lines have changed: `make log-lines`"
    )


def test_every_line_of_the_page_has_a_sentence() -> None:
    assert [
        text
        for text, meaning in loglines.meanings(loglines.PAGE.read_text()).items()
        if meaning == loglines.MISSING or len(meaning) < 15
    ] == []


def test_the_lines_of_a_run_are_in_the_page() -> None:
    page = loglines.PAGE.read_text()
    assert [text for text in loglines.texts_of_runs() if f"`{text}`" not in page] == []
    assert "task started" in loglines.texts_of_runs()


def test_reads_texts_levels_and_keys(package: Path) -> None:
    lines = found(package)
    assert lines["lost"].levels == ("debug", "warn")
    assert lines["lost"].keys == ("lease", "error", "seconds")
    assert lines["told"].keys == ("gvk",)
    assert lines["raised"].keys == ("error", "stacktrace")
    assert lines["raised"].levels == ("error",)
    assert {line.logger for line in lines.values()} == {"some.name"}


def test_follows_a_text_and_keys_that_come_from_elsewhere_in_the_module(package: Path) -> None:
    lines = found(package)
    assert {"seen", "not seen", "ended"} <= lines.keys()
    assert lines["seen"].keys == ("found", "…")


def test_follows_a_text_and_a_key_that_a_dataclass_holds(package: Path) -> None:
    (package / "inner" / "watcher.py").write_text(WORDED)
    lines = found(package)
    assert lines.keys() == {"one happened", "other happened", "a constant's key"}
    assert lines["a constant's key"].keys == ("other_kind",)
    assert lines["one happened"].keys == ("one_kind", "requests")
    assert lines["other happened"].keys == ("other_kind", "requests")


def test_reads_a_text_with_constants_of_the_module(package: Path) -> None:
    text = 'MOST: Final = 5\nPERIOD = 60.0\n_log = get_logger("x")\n_log.error(f"{MOST} crashes in {PERIOD:g} s")\n'
    (package / "inner" / "watcher.py").write_text(text)
    assert found(package).keys() == {"5 crashes in 60 s"}


def test_takes_nothing_else_for_a_log_line(package: Path) -> None:
    assert "no log line" not in found(package)


@pytest.mark.parametrize(
    ("place", "logger"), [("inner/watcher.py", "inner"), ("inner/__init__.py", "inner"), ("top.py", "top")]
)
def test_the_logger_of_a_module_is_its_package(tmp_path: Path, place: str, logger: str) -> None:
    path = tmp_path / place
    path.parent.mkdir(exist_ok=True)
    path.write_text(MODULE.replace('"some.name"', "__name__"))
    assert {line.logger for line in found(tmp_path).values()} == {logger}


def test_a_text_that_two_modules_of_a_package_log_is_one_line(package: Path) -> None:
    other = '_log = get_logger("some.name")\n_log.error("lost", other=1)\n'
    (package / "inner" / "second.py").write_text(other)
    line = found(package)["lost"]
    assert line.levels == ("debug", "error", "warn")
    assert set(line.keys) == {"lease", "error", "seconds", "other"}


def test_a_text_that_cannot_be_read_is_refused(package: Path) -> None:
    (package / "inner" / "watcher.py").write_text('_log = get_logger("x")\ndef f():\n    _log.info(made_up())\n')
    with pytest.raises(UnreadableCallError, match="line 3: made_up"):
        found(package)


def test_keeps_a_sentence_by_the_text_of_its_line_and_asks_for_the_others() -> None:
    lines = [LogLine("a", "kept: with a colon", ("warn",), ("key",)), LogLine("b", "new", ("info",), ())]
    page = loglines.render(PAGE, lines)
    assert loglines.meanings(page) == {"kept: with a colon": "It was written by hand.", "new": loglines.MISSING}
    assert "### `a`" in page
    assert "| `kept: with a colon` | warn | `key` | It was written by hand. |" in page
    assert page.startswith("# Logs\n")
    assert page.endswith(f"{loglines.END}\n\nAfter.\n")
    assert loglines.render(page, lines) == page
