"""Does four of Ansible's shell commands in this process, without a shell.

For a module that brings files along, Ansible's ``ActionBase`` has the shell expand a home directory, make a temporary
directory, let its owner execute it, and remove it: fourteen programs for four system calls. Only the exact commands
of Ansible's ``sh`` plugin are done here, with names that need no quoting. On an error the command is left to the
shell, which reports it. A directory made here is removed with its run if it was left behind (``tempdir``).
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

from reconcile_runner.execution import tempdir

Answer: TypeAlias = tuple[int, bytes, bytes]
"""Exit code, stdout and stderr."""

_NAME = r"[A-Za-z0-9_.@%+=:,/-]+"
_TEMPORARY = r"ansible-tmp-[0-9.]+-[0-9]+-[0-9]+"


def _command(words: str) -> re.Pattern[str]:
    """Return the pattern of a command as Ansible quotes it.

    ansible-core 2.21 leaves out the optional part.
    """
    return re.compile(rf"/bin/sh -c '{words}(?: && sleep 0)?'")


_PATH: Final = re.compile(rf"/(?:{_NAME})?")
_EXPAND: Final = _command(r"echo (?P<user>~[a-z_][a-z0-9_-]*|~)")
_MAKE: Final = _command(
    rf'\( umask 77 && mkdir -p "` echo (?P<base>/{_NAME}) `"'
    rf'&& mkdir "` echo (?P<path>(?P=base)/(?P<name>{_TEMPORARY})) `"'
    r' && echo (?P=name)="` echo (?P=path) `" \)'
)
_LET_EXECUTE: Final = _command(rf"chmod u\+(?P<rights>r?w?x) (?P<paths>/{_NAME}(?: /{_NAME})*)")
_REMOVE: Final = _command(rf"rm -f -r (?P<path>/{_NAME}/{_TEMPORARY})/ > /dev/null 2>&1")


def answer(command: object) -> Answer | None:
    """Do a command and return what the shell would have.

    None if the shell is to do it.
    """
    if not isinstance(command, str):
        return None
    for pattern, do in _COMMANDS:
        found = pattern.fullmatch(command)
        if found:
            try:
                return 0, do(found), b""
            except (OSError, LookupError):
                return None
    return None


def _expand(found: re.Match[str]) -> bytes:
    user = found["user"].removeprefix("~")
    home = pwd.getpwnam(user).pw_dir if user else os.environ["HOME"]
    if not _PATH.fullmatch(home):
        raise LookupError("this home directory needs quoting")
    return f"{home}\n".encode()


def _make(found: re.Match[str]) -> bytes:
    base = Path(found["base"])
    for path in (*reversed(base.parents), base):
        if not path.is_dir():
            path.mkdir(mode=0o700)
    Path(found["path"]).mkdir(mode=0o700)
    tempdir.adopt(found["path"])
    return f"{found['name']}={found['path']}\n".encode()


def _let_execute(found: re.Match[str]) -> bytes:
    rights = sum({"r": stat.S_IRUSR, "w": stat.S_IWUSR, "x": stat.S_IXUSR}[each] for each in found["rights"])
    for each in found["paths"].split(" "):
        path = Path(each)
        path.chmod(stat.S_IMODE(path.stat().st_mode) | rights)
    return b""


def _remove(found: re.Match[str]) -> bytes:
    path = Path(found["path"])
    if path.exists():
        shutil.rmtree(path)
    tempdir.forget(found["path"])
    return b""


_COMMANDS: Final[tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], bytes]], ...]] = (
    (_EXPAND, _expand),
    (_MAKE, _make),
    (_LET_EXECUTE, _let_execute),
    (_REMOVE, _remove),
)
