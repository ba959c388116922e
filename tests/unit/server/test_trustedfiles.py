"""Files in a directory whose name anybody knows."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from reconcile_runner.options import SecureServing
from reconcile_runner.server import certwatcher
from reconcile_runner.server.certwatcher import open_certificate
from reconcile_runner.server.trustedfiles import trusted_users, untrusted_step
from tests.support.fakes.certificates import write_certificate
from tests.support.fakes.clock import FakeClock

STEPS = ["first", "first/second", "first/second/tls.crt", "first/second/tls.key"]


@pytest.fixture
def default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where the default directory's parent is, as ``/tmp`` is in earnest."""
    write_certificate(tmp_path / "first" / "second")
    for step in STEPS:
        (tmp_path / step).chmod(0o755)
    monkeypatch.setattr(certwatcher, "DEFAULT_CERT_DIR", tmp_path / "first" / "second")
    return tmp_path


def chosen() -> str:
    return open_certificate(SecureServing(), FakeClock()).name


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("mode", [0o775, 0o757], ids=oct)
def test_a_default_certificate_that_others_may_write_is_not_taken(default: Path, step: str, mode: int) -> None:
    assert chosen() != "self-signed"
    (default / step).chmod(mode)
    with capture_logs() as lines:
        assert chosen() == "self-signed"
    assert [line["event"] for line in lines] == ["certificate of the default directory not used: others may change it"]
    assert lines[0]["error"].startswith(f"{default / step} may be written by others")


def test_what_others_may_write_later_is_not_read_again(default: Path) -> None:
    certificate = open_certificate(SecureServing(), FakeClock())
    before = certificate.current()
    write_certificate(default / "first" / "second")
    (default / "first").chmod(0o777)
    with capture_logs() as lines:
        assert certificate.current() is before
    assert "may be written by others" in lines[0]["error"]


def test_a_directory_that_was_asked_for_is_taken_as_it_is(default: Path) -> None:
    (default / "first" / "second").chmod(0o777)
    directory = default / "first" / "second"
    assert str(directory) in open_certificate(SecureServing(directory), FakeClock()).name


@pytest.mark.parametrize("step", STEPS[:3])
def test_a_step_of_another_user_is_not_trusted(default: Path, step: str) -> None:
    owner = os.geteuid()
    users = {owner + 1}
    found = untrusted_step(default / step, default, users)
    assert found == f"{default / 'first'} belongs to user {owner}"
    assert untrusted_step(default / step, default, {owner}) is None
    assert trusted_users() == {0, owner}


def test_links_are_followed_and_a_sticky_directory_may_be_anybodys(default: Path) -> None:
    elsewhere = default / "elsewhere"
    elsewhere.mkdir()
    elsewhere.chmod(0o1777)
    (elsewhere / "tls.crt").write_text("x")
    link = default / "first" / "link"
    link.symlink_to("../elsewhere/tls.crt")
    assert untrusted_step(link, default, trusted_users()) is None
    elsewhere.chmod(0o777)
    assert (
        untrusted_step(link, default, trusted_users())
        == f"{default / 'first' / '..' / 'elsewhere'} may be written by others"
    )
    link.unlink()
    link.symlink_to("link")
    found = untrusted_step(link, default, trusted_users())
    assert found is not None
    assert "too many links" in found
