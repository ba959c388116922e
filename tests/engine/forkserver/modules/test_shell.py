"""What is done in place of a shell is what the shell would have done: the same answer and the same files."""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from reconcile_runner.execution import tempdir
from reconcile_runner.execution.forkserver.modules import shell
from tests.support import fresh

SUFFIXES = ("", " && sleep 0")
NAME = "ansible-tmp-1700000000.1234567-42-271828182845904"
ODD = ["two words", "it's", 'a"b', "$(touch x)", "`touch x`", "a\nb", "a;b", "a*", "$HOME", "back\\slash", "ünïcode"]


def quoted(script: str) -> list[str]:
    """Return a command as Ansible's ``ActionBase`` hands it to its connection: of core 2.21, and of 2.19 and 2.20."""
    return [f"/bin/sh -c {shlex.quote(script + suffix)}" for suffix in SUFFIXES]


def make(base: str) -> str:
    return (
        f'( umask 77 && mkdir -p "` echo {base} `"&& mkdir "` echo {base}/{NAME} `" '
        f'&& echo {NAME}="` echo {base}/{NAME} `" )'
    )


def remove(path: str) -> str:
    return f"rm -f -r {path}/ > /dev/null 2>&1"


def by_shell(command: str) -> tuple[int, bytes, bytes]:
    """Do a command as Ansible's connection ``local`` does it."""
    done = subprocess.run(command, shell=True, executable="/bin/sh", capture_output=True, check=False)  # noqa: S602
    return done.returncode, done.stdout, done.stderr


def tree(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): stat.filemode(path.lstat().st_mode) for path in sorted(root.rglob("*"))}


def written_by_ansible(base: str) -> list[str]:
    from ansible.plugins.shell.sh import ShellModule  # noqa: PLC0415 - not in the process of the tests

    shell = ShellModule()
    scripts = [
        shell.expand_user("~"),
        shell.expand_user("~root"),
        shell.mkdtemp(NAME, system=False, tmpdir=base),
        *(shell.chmod([f"{base}/{NAME}/", f"{base}/{NAME}/below"], mode) for mode in ("u+x", "u+rwx")),
        shell.remove(f"{base}/{NAME}/", recurse=True),
    ]
    scripts += [shell.append_command(script, "sleep 0") for script in scripts]
    return [f"/bin/sh -c {shlex.quote(script)}" for script in scripts]


def test_every_command_that_ansible_writes_is_done_as_the_shell_does_it(tmp_path: Path) -> None:
    base = tmp_path / "home" / ".ansible" / "tmp"
    commands = fresh.call(written_by_ansible, str(base))
    assert len(commands) == 12

    def prepare(command: str) -> None:
        shutil.rmtree(tmp_path / "home", ignore_errors=True)
        if "rm -f -r" in command or "chmod" in command:
            (base / NAME / "below").mkdir(parents=True)
            (base / NAME / "below").chmod(0o440)

    for command in commands:
        prepare(command)
        expected, left = by_shell(command), tree(tmp_path)
        prepare(command)
        assert shell.answer(command) == expected, command
        assert tree(tmp_path) == left, command


@pytest.mark.parametrize("home", ["/root", "/root/", "/", "//odd", "relative", "", "two words", "/back\\tslash", "-n"])
def test_a_home_directory_is_told_as_the_shell_tells_it(home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", home)
    for command in quoted("echo ~"):
        assert shell.answer(command) in (None, by_shell(command))


def test_no_home_directory_is_told_as_the_shell_tells_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME")
    for command in quoted("echo ~"):
        assert shell.answer(command) in (None, by_shell(command))


@pytest.mark.parametrize("user", ["root", "daemon", "no-such-user"])
def test_the_home_directory_of_another_user_is_told_as_the_shell_tells_it(user: str) -> None:
    for command in quoted(f"echo ~{user}"):
        assert shell.answer(command) in (None, by_shell(command))


def test_a_user_is_found_without_a_shell() -> None:
    user = pwd.getpwuid(os.getuid())
    for command in quoted(f"echo ~{user.pw_name}"):
        assert shell.answer(command) == (0, f"{user.pw_dir}\n".encode(), b"")


@pytest.mark.parametrize("name", ODD)
def test_a_name_that_a_shell_might_read_goes_to_the_shell(name: str, tmp_path: Path) -> None:
    scripts = (make(f"/{tmp_path}/{name}"), remove(f"{tmp_path}/{name}/{NAME}"), f"echo ~{name}")
    for script in (*scripts, f"chmod u+x {tmp_path}/{name}"):
        for command in quoted(script):
            assert shell.answer(command) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "script",
    [
        "rm -f -r /tmp/not-of-ansible/ > /dev/null 2>&1",
        f"rm -f -r {NAME}/ > /dev/null 2>&1",
        f"rm -f -r /tmp/{NAME} > /dev/null 2>&1",
        f"rm -f -r /tmp/{NAME}/../ > /dev/null 2>&1",
        f"{remove(f'/tmp/{NAME}')}; id",
        make("relative"),
        make("/tmp/x").replace("umask 77", "umask 22"),
        "echo ~ && id",
        "echo ~/x",
        "id",
    ],
)
def test_other_words_go_to_the_shell(script: str) -> None:
    for command in quoted(script):
        assert shell.answer(command) is None


def test_only_text_is_a_command() -> None:
    (command, _) = quoted("echo ~root")
    assert shell.answer(command.encode()) is None
    assert shell.answer([command]) is None
    assert shell.answer(f"{command}\n") is None


def test_a_directory_that_is_there_goes_to_the_shell(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    for command in quoted(make(str(tmp_path))):
        assert shell.answer(command) is None


def test_a_directory_that_cannot_be_made_goes_to_the_shell(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory", encoding="utf-8")
    (tmp_path / "nowhere").symlink_to(tmp_path / "missing")
    for base in ("file", "file/below", "nowhere"):
        for command in quoted(make(f"{tmp_path}/{base}")):
            assert shell.answer(command) is None


def test_directories_that_are_there_are_left_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o755)
    (tmp_path / "link").symlink_to(tmp_path / "open")
    (command, _) = quoted(make(f"{tmp_path}/link/below"))
    expected = {
        "link": "lrwxrwxrwx",
        "open": "drwxr-xr-x",
        "open/below": "drwx------",
        f"open/below/{NAME}": "drwx------",
    }
    assert shell.answer(command) == (0, f"{NAME}={tmp_path}/link/below/{NAME}\n".encode(), b"")
    assert tree(tmp_path) == expected


def test_to_remove_what_is_not_there_goes_well(tmp_path: Path) -> None:
    for command in quoted(remove(f"{tmp_path}/{NAME}")):
        assert shell.answer(command) == by_shell(command) == (0, b"", b"")


def test_what_is_no_directory_is_left_to_the_shell(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / NAME).symlink_to(tmp_path / "kept")
    for command in quoted(remove(f"{tmp_path}/{NAME}")):
        assert shell.answer(command) is None
    (tmp_path / NAME).unlink()
    (tmp_path / NAME).write_text("a file", encoding="utf-8")
    for command in quoted(remove(f"{tmp_path}/{NAME}")):
        assert shell.answer(command) is None
    assert (tmp_path / "kept").is_dir()


def test_a_directory_goes_with_its_run_until_it_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "run"
    tempdir.make(run)
    monkeypatch.setenv("TMPDIR", str(run))
    for command in quoted(make(f"{tmp_path}/base")):
        assert shell.answer(command)
        assert (run / NAME).readlink() == tmp_path / "base" / NAME
        assert shell.answer(quoted(remove(f"{tmp_path}/base/{NAME}"))[0])
        assert not (run / NAME).is_symlink()
