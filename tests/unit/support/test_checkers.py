from __future__ import annotations

from pathlib import Path

import pytest

from reconcile_devcluster.errors import BinariesUnavailableError
from tests import checkers

SAYS = '{"Dir": "/modules/x@v1", "Sum": "h1:abc="}'


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a `go` that has the module and writes down what it was asked."""
    program = tmp_path / "go"
    program.write_text(
        f'#!/bin/sh\n[ "$1" = env ] && echo go1.99.0 && exit\necho "$@" >{tmp_path}/asked\necho \'{SAYS}\'\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path / "asked"


def test_a_module_is_where_go_put_it(go: Path) -> None:
    assert checkers.PublishedModule("example.com/x", "v1", "h1:abc=").directory() == Path("/modules/x@v1")
    assert go.read_text() == "mod download -json example.com/x@v1\n"


def test_another_content_than_the_pinned_one_is_refused(go: Path) -> None:
    with pytest.raises(BinariesUnavailableError, match=r"example.com/x@v1: found h1:abc=, expected h1:other="):
        checkers.PublishedModule("example.com/x", "v1", "h1:other=").directory()


def test_olms_check_is_of_the_same_version_as_its_definitions() -> None:
    assert checkers.OPERATOR_VERIFY.module.version == checkers.OPERATOR_FRAMEWORK.version
