"""What an audit says: what it was not told of is never safe, and where it could not look it does not pass by itself."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from tools import audit
from tools.vulnerabilities import Audited, UnreachableError, ask, in_words

SAFE: Audited = {"name": "a", "version": "1", "vulns": []}
UNKNOWN: Audited = {"name": "b", "skip_reason": "not found"}
HIT: Audited = {"name": "c", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1"]}]}
UNMENDED: Audited = {"name": "d", "version": "3", "vulns": [{"id": "PYSEC-2", "fix_versions": []}]}


def test_packages_without_a_known_vulnerability_are_counted() -> None:
    assert in_words([SAFE]) == "0 known vulnerabilities in 1 Python packages"


def test_each_known_vulnerability_is_named_with_what_mends_it() -> None:
    assert in_words([SAFE, HIT, UNMENDED]).splitlines() == [
        "2 known vulnerabilities in 3 Python packages",
        "c 2: PYSEC-1, fixed in 2.1",
        "d 3: PYSEC-2, fixed in no version",
    ]


def test_a_package_that_the_database_does_not_have_is_not_called_safe() -> None:
    assert in_words([SAFE, UNKNOWN]) == "0 known vulnerabilities in 1 Python packages (not in the database: b)"


UNREACHED = "Could not connect to the vulnerability feed"
BROKEN = "package a has duplicate requirements"


def saying(directory: Path, audited: list[Audited] | str) -> Path:
    """Return a directory with a pip-audit that answers so, or ends with an error."""
    program = directory / "pip-audit"
    answer = shlex.quote(json.dumps({"dependencies": audited}))
    write = f'for one in "$@"; do case "$one" in --output=*) echo {answer} > "${{one#--output=}}";; esac; done'
    program.write_text("#!/bin/sh\n" + (f"echo '{audited}'; exit 1" if isinstance(audited, str) else write) + "\n")
    program.chmod(0o755)
    return directory


def test_what_the_database_says_is_returned(tmp_path: Path) -> None:
    assert ask(saying(tmp_path, [SAFE, UNKNOWN]), Path("r.txt")) == [SAFE, UNKNOWN]


@pytest.mark.parametrize(("said", "reason"), [(UNREACHED, UNREACHED), ([UNKNOWN], "has none of these")])
def test_a_database_that_cannot_be_asked_is_no_list(tmp_path: Path, said: list[Audited] | str, reason: str) -> None:
    with pytest.raises(UnreachableError, match=reason):
        ask(saying(tmp_path, said), Path("r.txt"))


@pytest.mark.parametrize(
    ("said", "arguments", "code"),
    [
        ([SAFE], [], 0),
        ([SAFE, HIT], [], 1),
        ([SAFE, HIT], [audit.WARN], 1),
        ([SAFE, UNKNOWN], [], 1),
        ([SAFE, UNKNOWN], [audit.WARN], 1),
        ([UNKNOWN], [audit.WARN], 0),
        (UNREACHED, [audit.WARN], 0),
    ],
)
def test_it_passes_where_it_looked_at_everything_and_found_nothing(
    said: list[Audited] | str, arguments: list[str], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    saying(tmp_path / "bin", said)
    monkeypatch.setattr(audit, "locked_environment", lambda _name: tmp_path)
    assert audit.main(arguments) == code


@pytest.mark.parametrize(
    ("said", "arguments", "message"),
    [
        (UNREACHED, [], f"no audit: the database could not be asked ({UNREACHED})"),
        (BROKEN, [], f"pip-audit failed: {BROKEN}"),
        (BROKEN, [audit.WARN], f"pip-audit failed: {BROKEN}"),
    ],
)
def test_where_it_could_not_look_it_fails_unless_that_is_allowed_and_never_where_pip_audit_did(
    said: str,
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "bin").mkdir()
    saying(tmp_path / "bin", said)
    monkeypatch.setattr(audit, "locked_environment", lambda _name: tmp_path)
    with pytest.raises(SystemExit) as ended:
        audit.main(arguments)
    assert ended.value.code == 1
    assert message in capsys.readouterr().err


def test_a_database_that_goes_away_in_the_middle_is_no_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([[SAFE, HIT]])

    def answer(_programs: Path, _requirements: Path) -> list[Audited]:
        for audited in answers:
            return audited
        raise UnreachableError("gone")

    monkeypatch.setattr(audit, "locked_environment", lambda _name: tmp_path)
    monkeypatch.setattr(audit, "ask", answer)
    with pytest.raises(SystemExit):
        audit.main([audit.WARN])
