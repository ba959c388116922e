from __future__ import annotations

from tools.image.report import Audited, what_is_known

SAFE: Audited = {"name": "a", "version": "1", "vulns": []}
UNKNOWN: Audited = {"name": "b", "skip_reason": "not found"}
HIT: Audited = {"name": "c", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1"]}]}
UNMENDED: Audited = {"name": "d", "version": "3", "vulns": [{"id": "PYSEC-2", "fix_versions": []}]}


def test_packages_without_a_known_vulnerability_are_counted() -> None:
    assert what_is_known([SAFE]) == "0 known vulnerabilities in 1 Python packages"


def test_each_known_vulnerability_is_named_with_what_mends_it() -> None:
    assert what_is_known([SAFE, HIT, UNMENDED]).splitlines() == [
        "2 known vulnerabilities in 3 Python packages",
        "c 2: PYSEC-1, fixed in 2.1",
        "d 3: PYSEC-2, fixed in no version",
    ]


def test_a_package_that_the_database_does_not_have_is_not_called_safe() -> None:
    assert what_is_known([SAFE, UNKNOWN]) == "0 known vulnerabilities in 1 Python packages (not in the database: b)"


def test_a_database_that_cannot_be_asked_is_said() -> None:
    assert what_is_known([UNKNOWN]).startswith("no list of vulnerabilities: the database could not be asked")
