from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.zygote import Zygote

_HERE = __name__
_state = {"prepared": False}


def prepare() -> None:
    _state["prepared"] = True


def look(word: str) -> None:
    print(word, _state["prepared"], os.environ.get("WORD"), Path.cwd(), repr(sys.stdin.read()))  # noqa: T201
    sys.stderr.write("of the call\n")
    _state["prepared"] = False


def end(code: object) -> None:
    sys.exit(code)  # type: ignore[arg-type]


def fail() -> None:
    raise ValueError("in vain")


def wait() -> None:
    time.sleep(600)


@pytest.fixture
def zygote() -> Iterator[Zygote]:
    made = Zygote(f"{_HERE}:prepare", os.environ)
    yield made
    made.stop()


def test_each_call_has_what_was_prepared_and_an_environment_and_a_directory_of_its_own(
    zygote: Zygote, tmp_path: Path
) -> None:
    for word in ("first", "second"):
        done = zygote.call(f"{_HERE}:look", word, environment={"WORD": word}, cwd=str(tmp_path), timeout=30)
        assert (done.returncode, done.stdout, done.stderr) == (
            0,
            f"{word} True {word} {tmp_path} ''\n",
            "of the call\n",
        )


@pytest.mark.parametrize(("code", "expected"), [(None, 0), (3, 3), ("a message", 1)])
def test_the_exit_code_is_that_of_a_program(zygote: Zygote, code: object, expected: int) -> None:
    assert zygote.call(f"{_HERE}:end", code, environment={}, cwd="/", timeout=30).returncode == expected


def test_an_error_is_told_with_where_it_was(zygote: Zygote) -> None:
    done = zygote.call(f"{_HERE}:fail", environment={}, cwd="/", timeout=30)
    assert done.returncode == 1
    assert "in fail" in done.stderr
    assert "ValueError: in vain" in done.stderr


def test_a_call_that_takes_too_long_is_ended(zygote: Zygote) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        zygote.call(f"{_HERE}:wait", environment={}, cwd="/", timeout=0.3)
    assert zygote.call(f"{_HERE}:end", 0, environment={}, cwd="/", timeout=30).returncode == 0
