"""Arguments with which a run does nothing are refused at start. The judge is ``ansible-playbook`` itself."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconcile_runner.errors import ConfigError
from reconcile_runner.inspection.arguments import check_arguments
from reconcile_runner.inspection.inspector import Inspector
from tests.support.paths import REPOSITORY

ANSIBLE_PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")
PLAY = """
- hosts: localhost
  gather_facts: false
  tasks:
  - name: Do the work
    ansible.builtin.copy:
      content: done
      dest: "{{ playbook_dir }}/work"
"""

IDLE = {
    "-C": "asks for check mode",
    "--check": "asks for check mode",
    "--chec": "asks for check mode",
    "--ch --diff": "asks for check mode",
    "-CD": "asks for check mode",
    "-vC": "asks for check mode",
    "--syntax-check": "asks for a syntax check alone",
    "--sy": "asks for a syntax check alone",
    "--list-tasks": "asks for a list of tasks alone",
    "--list-tag": "asks for a list of tags alone",
    "--list-hosts": "asks for a list of hosts alone",
    "--step": "asks before each task",
    "--version": "has Ansible print something and end",
    "-h": "has Ansible print something and end",
    "--hel": "has Ansible print something and end",
    "--skip-tags all": "skips every task",
    "--skip-tags one,all": "skips every task",
}
MALFORMED = {
    "--list-t": "ambiguous option",
    "--nope": "unrecognized arguments: --nope",
    "--tags": "the following arguments are required",
    "-e": "the following arguments are required",
    "--forks many": "argument -f/--forks: invalid",
    "--check=yes": "ignored explicit argument",
    "--tags 'a": "no closing quotation",
}
AT_WORK = (
    "",
    "--diff",
    "--tags all",
    "--skip-tags some",
    "-e check=true",
    "-e '{\"check_mode\": true}'",
    "--force-handlers",
    "-vvv --flush-cache",
    "--limit localhost",
    "--extra-vars=--check",
)


@pytest.fixture(scope="module")
def inspector() -> Iterator[Inspector]:
    with Inspector.started(os.environ) as started:
        yield started


@pytest.mark.parametrize(("text", "reason"), IDLE.items())
def test_what_leaves_a_run_nothing_to_do_is_refused(inspector: Inspector, text: str, reason: str) -> None:
    refusal = inspector.refusal(text.split())
    assert refusal.startswith(f"which {reason}")
    assert "count as a success" in refusal
    assert len(refusal.splitlines()) == 1


@pytest.mark.parametrize("text", AT_WORK)
def test_other_arguments_are_taken(text: str) -> None:
    check_arguments(text, os.environ)


@pytest.mark.parametrize(("text", "reason"), MALFORMED.items())
def test_what_ansible_cannot_read_is_refused_in_one_line(text: str, reason: str) -> None:
    with pytest.raises(ConfigError) as refused:
        check_arguments(text, os.environ)
    [line] = str(refused.value).splitlines()
    assert line.startswith(f"--ansible-args: found {text!r}, expected arguments")
    assert reason in line


def test_a_variable_that_skips_all_is_refused_by_its_name() -> None:
    with pytest.raises(ConfigError, match=r"^ANSIBLE_SKIP_TAGS: found 'all', which skips every task"):
        check_arguments("", {**os.environ, "ANSIBLE_SKIP_TAGS": "all"})
    check_arguments("", {**os.environ, "ANSIBLE_SKIP_TAGS": "some"})


def test_an_ansible_that_cannot_be_loaded_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "ansible.py").write_text("raise ImportError('no Ansible here')\n")
    with pytest.raises(ConfigError, match=r"^Ansible cannot be asked: ImportError: no Ansible here$"):
        check_arguments("--diff", {**os.environ, "PYTHONPATH": str(tmp_path)})


def flags_of_ansible() -> list[str]:
    """Return every option of ``ansible-playbook`` that takes no value and needs no password, as its help has them."""
    done = subprocess.run([ANSIBLE_PLAYBOOK, "--help"], capture_output=True, text=True, check=True)
    listed = re.findall(r"^  (-.*?)(?:  .*)?$", done.stdout.partition("options:")[2], re.MULTILINE)
    spelt = [option for line in listed for option in line.split(", ")]
    needs_a_password = re.compile("-[bkKJ]$|--ask|--become$")
    return [option for option in spelt if " " not in option and not needs_a_password.match(option)]


def works_with(directory: Path, arguments: list[str]) -> bool:
    """Tell whether ``ansible-playbook`` does what the play says; it has no input, as a run."""
    directory.mkdir()
    (directory / "play.yml").write_text(PLAY)
    command = [str(ANSIBLE_PLAYBOOK), *arguments, str(directory / "play.yml")]
    subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, cwd=directory)
    return (directory / "work").exists()


@pytest.mark.exhaustive
@pytest.mark.timeout(300)
def test_refused_is_exactly_what_leaves_the_work_undone(inspector: Inspector, tmp_path: Path) -> None:
    flags = flags_of_ansible()
    assert {"--check", "-C", "--diff", "--syntax-check", "--version"} <= set(flags)
    tried = {*flags, *IDLE, *(text for text in AT_WORK if "'" not in text)}
    works = {text: works_with(tmp_path / str(number), text.split()) for number, text in enumerate(sorted(tried))}
    taken = {text: inspector.refusal(text.split()) == "" for text in tried}
    assert taken == works


def test_the_operator_does_not_start_with_them() -> None:
    command = [sys.executable, "-m", "reconcile_runner", "run", "--ansible-args=--check", "--kubeconfig=none"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    line = json.loads(done.stderr.splitlines()[-1])
    assert (done.returncode, line["msg"]) == (1, "cannot start")
    assert line["error"].startswith("--ansible-args: found '--check', which asks for check mode")
