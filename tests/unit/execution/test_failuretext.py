from __future__ import annotations

from typing import Any

import pytest

from reconcile_runner.execution import failuretext
from reconcile_runner.execution.jobevent import parse_event


@pytest.mark.parametrize(
    ("res", "message"),
    [
        ({"msg": "no friend"}, "no friend"),
        ({"msg": "\x1b[0;31mred\x1b[0m\r\n"}, "red"),
        ({"msg": ["a", 1]}, '["a", 1]'),
        ({"msg": {"größe": 5}}, '{"größe": 5}'),
        ({"msg": 0}, "0"),
        ({"msg": False}, "false"),
        ({"msg": "", "error": {"code": 5}}, '{"code": 5}'),
        ({"changed": False, "failed": True, "status": 503, "_ansible_no_log": False}, '{"status": 503}'),
        ({"changed": False, "failed": True, "invocation": {"module_args": {}}}, "unknown playbook failure"),
        ({"msg": "non-zero return code", "stderr": "ls: no\n", "stdout": "x"}, "non-zero return code: ls: no"),
        ({"msg": "non-zero return code", "stderr": "", "stdout": "out"}, "non-zero return code: out"),
        ({"msg": "MODULE FAILURE\nSee stdout", "module_stderr": "boom"}, "MODULE FAILURE\nSee stdout: boom"),
        (
            {"msg": "The command exited with a non-zero return code.", "stderr": "no"},
            "The command exited with a non-zero return code: no",
        ),
        ({"stderr": "only that"}, "only that"),
        ({"msg": "Assertion failed", "assertion": "a == b"}, "Assertion failed: a == b"),
        ({"msg": "Task failed: Unknown error.", "exception": "(traceback unavailable)"}, "Task failed: Unknown error"),
        ({"reason": "Could not find or access 'x.yml'"}, "Could not find or access 'x.yml'"),
        (
            {"msg": "Task failed: Action failed: Unknown error.", "message": "Could not find 'x.yml'"},
            "Task failed: Action failed: Unknown error: Could not find 'x.yml'",
        ),
        ({"msg": "said in msg", "message": "and elsewhere"}, "said in msg"),
        ({"censored": "hidden", "msg": "secret"}, "hidden"),
        ({}, "unknown playbook failure"),
        ({"msg": None, "stderr": 5}, "5"),
    ],
    ids=repr,
)
def test_a_result_says_why_it_failed(res: dict[str, Any], message: str) -> None:
    assert failuretext.of_result(res) == message


def test_failed_items_are_told_where_the_result_names_none() -> None:
    assert failuretext.of_result({"msg": "One or more items failed"}, ["a", "b"]) == "One or more items failed: a; b"
    assert failuretext.of_result({"msg": "own words"}, ["a"]) == "own words"


def test_an_error_that_ansible_printed_is_told_where_the_result_says_nothing() -> None:
    printed = (
        "[ERROR]: Task failed: Error executing command: [Errno 2] No such file: b'/x'\nOrigin: /p.yml:3:7\n\n"
        '3 - name: Run\n    ^ column 7\n\nfatal: [localhost]: FAILED! => {"msg": "Error executing command."}\n'
    )
    raw = {"msg": "Error executing command.", "cmd": "/x --password=hunter2", "rc": 2}
    event = parse_event({"event": "runner_on_failed", "stdout": printed, "event_data": {"res": raw}})
    assert failuretext.of_event(event) == "Task failed: Error executing command: [Errno 2] No such file: b'/x'"
    assert failuretext.of_result(raw) == 'Error executing command: {"rc": 2}'


LARGE = "x" * 800_000


@pytest.mark.parametrize(
    ("stdout", "message"),
    [
        (f'fatal: [localhost]: FAILED! => {{"data": "{LARGE}", "msg": "no \\"friend\\""}}\r\n', 'no "friend"'),
        (f'\x1b[0;31mfatal: [a]: FAILED! => {{\n    "data": "{LARGE}",\n    "msg": "no"\n}}\x1b[0m', "no"),
        ('fatal: [a]: FAILED! => {"censored": "hidden"}', "hidden"),
        ("no result at all", "no result at all"),
        ("fatal: [a]: FAILED! => {", "fatal: [a]: FAILED! => {"),
        ('[ERROR]: x => {"msg": "y"}\nfailed: [a] (item=1) => {"msg": "no"}', "no"),
        ("", "unknown playbook failure"),
    ],
    ids=["a line", "indented", "hidden", "other output", "no JSON", "an error before it", "nothing"],
)
def test_a_result_that_ansible_runner_left_out_is_read_from_the_output(stdout: str, message: str) -> None:
    event = parse_event({"event": "runner_on_failed", "stdout": stdout, "event_data": {"res": {}}})
    assert failuretext.of_event(event) == message


def test_an_output_that_is_no_result_is_told_with_both_ends() -> None:
    event = parse_event({"event": "runner_on_failed", "stdout": f"begin {LARGE} end", "event_data": {}})
    message = failuretext.of_event(event)
    assert (message[:5], message[-3:]) == ("begin", "end")
    assert len(message) <= failuretext.MESSAGE_LIMIT


def test_the_messages_of_a_run_are_bounded_together() -> None:
    text = failuretext.of_failures([f"task {number}: {'x' * 1000}" for number in range(50)])
    assert len(text) <= failuretext.TOTAL_LIMIT
    assert text.startswith("task 0: ")


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


def test_a_traceback_is_not_told() -> None:
    lines = ["[ERROR]: Unexpected Exception: no", "Traceback (most recent call last):", '  File "x", line 1', "E: no"]
    assert failuretext.of_output(lines) == "Unexpected Exception: no"


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


BEFORE_219 = """the field 'args' has an invalid value: 'nothing' is undefined

The error appears to be in '/roles/foo/tasks/main.yml': line 3, column 7, but may
be elsewhere in the file depending on the exact syntax problem.

The offending line appears to be:

    - name: Use what is not there
      ^ here
"""


def test_the_place_of_an_older_ansibles_error_is_kept_without_the_excerpt() -> None:
    expected = "the field 'args' has an invalid value: 'nothing' is undefined (/roles/foo/tasks/main.yml:3:7)"
    assert failuretext.of_result({"msg": BEFORE_219}) == expected
    assert failuretext.of_output(f"ERROR! {BEFORE_219}".splitlines()) == expected
