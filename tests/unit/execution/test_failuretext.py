from __future__ import annotations

from typing import Any

import pytest

from reconcile_runner.execution import failuretext


@pytest.mark.parametrize(
    ("res", "message"),
    [
        ({"msg": "no friend"}, "no friend"),
        ({"msg": "\x1b[0;31mred\x1b[0m\r\n"}, "red"),
        ({"msg": ["a", 1]}, '["a", 1]'),
        ({"msg": "non-zero return code", "stderr": "ls: no\n", "stdout": "x"}, "non-zero return code: ls: no"),
        ({"msg": "non-zero return code", "stderr": "", "stdout": "out"}, "non-zero return code: out"),
        ({"msg": "MODULE FAILURE\nSee stdout", "module_stderr": "boom"}, "MODULE FAILURE\nSee stdout: boom"),
        (
            {"msg": "The command exited with a non-zero return code.", "stderr": "no"},
            "The command exited with a non-zero return code: no",
        ),
        ({"stderr": "only that"}, "only that"),
        ({"reason": "Could not find or access 'x.yml'"}, "Could not find or access 'x.yml'"),
        (
            {"msg": "Task failed: Action failed: Unknown error.", "message": "Could not find 'x.yml'"},
            "Task failed: Action failed: Unknown error: Could not find 'x.yml'",
        ),
        ({"msg": "said in msg", "message": "and elsewhere"}, "said in msg"),
        ({"censored": "hidden", "msg": "secret"}, "hidden"),
        ({}, "unknown playbook failure"),
        ({"msg": None, "stderr": 5}, "null"),
    ],
    ids=repr,
)
def test_a_result_says_why_it_failed(res: dict[str, Any], message: str) -> None:
    assert failuretext.of_result(res) == message


def test_failed_items_are_told_where_the_result_names_none() -> None:
    assert failuretext.of_result({"msg": "One or more items failed"}, ["a", "b"]) == "One or more items failed: a; b"
    assert failuretext.of_result({"msg": "own words"}, ["a"]) == "own words"


def test_a_long_message_keeps_both_ends() -> None:
    message = failuretext.of_result({"msg": "begin" + "x" * 5000 + "end"})
    assert len(message) <= failuretext.MESSAGE_LIMIT
    assert message.startswith("begin")
    assert message.endswith("end")


def test_ansibles_error_is_told_with_its_place_and_without_the_source() -> None:
    lines = [
        "[WARNING]: something else",
        "[ERROR]: the role 'x' was not found in /a:/b",
        "Origin: /project/play.yml:5:7",
        "",
        "3   gather_facts: false",
        "5     - no_such_role",
        "        ^ column 7",
        "",
    ]
    assert failuretext.of_output(lines) == "the role 'x' was not found in /a:/b (/project/play.yml:5:7)"


def test_the_cause_of_an_error_is_told_too() -> None:
    lines = ["[ERROR]: it failed", "", "<<< caused by >>>", "", "the cause", "Origin: /p.yml:1:1"]
    assert failuretext.of_output(lines) == "it failed <<< caused by >>> the cause (/p.yml:1:1)"


def test_the_old_spelling_of_an_error_is_known() -> None:
    assert (
        failuretext.of_output(["ERROR! conflicting action statements: a, b"]) == "conflicting action statements: a, b"
    )


def test_a_wrong_option_is_told_without_the_help_that_follows() -> None:
    lines = ["usage: ansible-playbook [-h]", "ansible-playbook: error: unrecognized arguments: --x", "Runs playbooks"]
    assert failuretext.of_output(lines) == "unrecognized arguments: --x"


def test_without_an_error_the_last_line_is_told() -> None:
    assert failuretext.of_output(["a", "The command was not found: x", ""]) == "The command was not found: x"
    assert failuretext.of_output([]) == ""
