"""Probes: ok, or one sentence for each check that is not."""

from __future__ import annotations

from reconcile_runner.server.healthz import Checks, Probe


def test_a_process_that_starts_is_alive_but_not_ready() -> None:
    checks = Checks()
    assert checks.report(Probe.HEALTHZ).text(Probe.HEALTHZ) == "ok"
    assert not checks.report(Probe.READYZ).is_ok
    checks.start_is_complete()
    assert checks.report(Probe.READYZ).text(Probe.READYZ) == "ok"


def test_a_problem_is_named() -> None:
    checks = Checks()
    checks.start_is_complete()
    checks.add(Probe.READYZ, "caches", lambda: "Foo has not been listed yet")
    checks.add(Probe.READYZ, "engine", lambda: None)
    report = checks.report(Probe.READYZ)
    assert not report.is_ok
    assert report.text(Probe.READYZ) == (
        "[+]start ok\n[-]caches failed: Foo has not been listed yet\n[+]engine ok\nreadyz check failed\n"
    )


def test_verbose_lists_the_checks_that_pass() -> None:
    checks = Checks()
    report = checks.report(Probe.HEALTHZ)
    assert report.text(Probe.HEALTHZ, verbose=True) == "[+]ping ok\nhealthz check passed\n"


def test_a_check_is_asked_each_time() -> None:
    problems: list[str | None] = ["not yet", None]
    checks = Checks()
    checks.start_is_complete()
    checks.add(Probe.READYZ, "changing", lambda: problems.pop(0))
    assert [checks.report(Probe.READYZ).is_ok, checks.report(Probe.READYZ).is_ok] == [False, True]
