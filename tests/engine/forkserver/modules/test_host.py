"""What a module's process did comes back as through a shell: exit code, output, and how it was ended."""

from __future__ import annotations

import base64
import dataclasses
import io
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from reconcile_runner.execution.forkserver.modules.archives import Archives
from reconcile_runner.execution.forkserver.modules.child import Module, Stock
from reconcile_runner.execution.forkserver.modules.host import HostGoneError, ModuleHost
from reconcile_runner.execution.forkserver.modules.importsystem import ImportSystem
from reconcile_runner.execution.forkserver.modules.preload import TargetModules
from tests.support import fresh

PACKAGES = (
    "ansible",
    "ansible/module_utils",
    "ansible/module_utils/_internal",
    "ansible/module_utils/_internal/_ansiballz",
)
LOADER = f"{PACKAGES[-1]}/_loader.py"
LARGE = 3_000_000
NUMBERS = ("SIGKILL", "SIGTERM", "SIGSEGV", "SIGHUP", "SIGINT", "SIGPIPE", "SIGUSR1")
PLAIN = {
    "print('said')": (0, "said\n", ""),
    "sys.exit(3)": (3, "", ""),
    "sys.exit(256 + 7)": (7, "", ""),
    "sys.exit('why')": (1, "", "why\n"),
    "sys.exit()": (0, "", ""),
    "os._exit(5)": (5, "", ""),
    "os.write(1, b'one'); print('two', end=''); os.write(2, b'three')": (0, "onetwo", "three"),
    "import atexit; atexit.register(print, 'at its end')": (0, "at its end\n", ""),
    "import threading; threading.Timer(0.2, print, ['of a thread']).start()": (0, "of a thread\n", ""),
    "print(os.environ['GIVEN'], len(os.environ))": (0, "of the task 1\n", ""),
    "print(sys.stdin.read(), end='')": (0, "", ""),
    "print(sorted(int(each) for each in os.listdir('/proc/self/fd'))[:-1])": (0, "[0, 1, 2]\n", ""),
}
HOLDS = "os.fork() or (time.sleep(0.3), print('of the child', flush=True), os._exit(0)); print('of the module')"
LETS_GO = "pid = os.fork(); pid or (os.close(1), os.close(2), signal.pause()); print(pid)"


def module(code: str) -> Module:
    """Return a module that is a few lines of Python, in place of Ansible's loader, which would run them."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for package in PACKAGES:
            file.writestr(f"{package}/__init__.py", "")
        file.writestr(LOADER, f"def run_module(**arguments):\n    import os, signal, sys, time\n    {code}\n")
    return Module("tells", "ansible.modules.tells", "legacy", "{}", 0, base64.b64encode(content.getvalue()))


def empty_stock(directory: str) -> Stock:
    target = TargetModules(dataclasses.replace(ImportSystem.current(), modules={}), {})
    return Stock(target, Archives(Path(directory), Path(directory), target))


def serve(host: ModuleHost, stock: Stock) -> None:
    """Answer one request and reap its process, as a supervisor does."""
    host.answer(stock)
    for pid in list(host._statuses):
        host.notify(*os.waitpid(pid, 0))


def asked(directory: str, code: str) -> tuple[int, str, str]:
    """Have a module run in a fork of a fork that stands for the supervisor, and return what it told."""
    host, stock = ModuleHost(), empty_stock(directory)
    pid = os.fork()
    if pid == 0:
        host.keep_answering_end()
        serve(host, stock)
        os._exit(0)
    host.keep_asking_end()
    status, stdout, stderr = host.ask(module(code), {b"GIVEN": b"of the task"}, os.fsencode(directory))
    os.waitpid(pid, 0)
    return status, stdout.decode(), stderr.decode()


def asked_one_by_one(directory: str, codes: list[str]) -> list[tuple[int, str, str]]:
    return [fresh.in_a_fork(asked, directory, code) for code in codes]


def ask(directory: Path, *codes: str) -> list[tuple[int, str, str]]:
    return [(code, out, err) for code, out, err in fresh.call(asked_one_by_one, str(directory), codes)]


def test_what_a_module_did_comes_back(tmp_path: Path) -> None:
    assert dict(zip(PLAIN, ask(tmp_path, *PLAIN), strict=True)) == PLAIN


def test_it_runs_where_it_is_to(tmp_path: Path) -> None:
    assert ask(tmp_path, "print(os.getcwd())") == [(0, f"{tmp_path}\n", "")]


def test_an_error_is_told_with_where_it_was(tmp_path: Path) -> None:
    ((code, stdout, stderr),) = ask(tmp_path, "raise ValueError('no good')")
    assert (code, stdout) == (1, "")
    assert stderr.startswith("Traceback (most recent call last):")
    assert stderr.endswith("ValueError: no good\n")


def test_much_output_on_both_streams_arrives_whole(tmp_path: Path) -> None:
    code = f"sys.stdout.write('o' * {LARGE}); sys.stderr.write('e' * {LARGE})"
    assert ask(tmp_path, code) == [(0, "o" * LARGE, "e" * LARGE)]


def test_a_child_that_holds_the_output_is_waited_for(tmp_path: Path) -> None:
    """As Ansible waits for it behind a shell: what such a child says belongs to the module's output."""
    assert ask(tmp_path, HOLDS) == [(0, "of the module\nof the child\n", "")]


def test_a_child_that_lets_go_of_the_output_is_not_waited_for(tmp_path: Path) -> None:
    ((code, child, _),) = ask(tmp_path, LETS_GO)
    os.kill(int(child), signal.SIGKILL)
    assert code == 0


def test_a_signal_is_told_as_a_shell_tells_it(tmp_path: Path) -> None:
    codes = [
        "import resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); "
        f"signal.{name} == signal.SIGKILL or signal.signal(signal.{name}, signal.SIG_DFL); "
        f"os.kill(os.getpid(), signal.{name})"
        for name in NUMBERS
    ]
    shells = [
        subprocess.run(
            ["/bin/sh", "-c", f"{sys.executable} -c 'import os, signal; {code}' && sleep 0"],
            capture_output=True, check=False, text=True,
        )
        for code in codes
    ]  # fmt: skip
    expected = [(shell.returncode, shell.stdout, shell.stderr) for shell in shells]
    assert dict(zip(NUMBERS, ask(tmp_path, *codes), strict=True)) == dict(zip(NUMBERS, expected, strict=True))


def abandoned(directory: str) -> str:
    """Have a module outlive who asked for it, as one does whose task has timed out, and end another one after it."""
    host, stock = ModuleHost(), empty_stock(directory)
    asking = os.fork()
    if asking == 0:
        host.keep_asking_end()
        host.ask(module("time.sleep(0.3)"), {}, os.fsencode(directory))
        os._exit(0)
    host.answer(stock)
    os.kill(asking, signal.SIGKILL)
    os.waitpid(asking, 0)
    (pid,) = host._statuses
    host.notify(*os.waitpid(pid, 0))
    return "reaped"


def test_a_module_that_nobody_waits_for_any_more_is_reaped(tmp_path: Path) -> None:
    assert fresh.call(abandoned, str(tmp_path)) == "reaped"


def left_alone(directory: str, word: str) -> list[str]:
    """Ask a supervisor that has ended, or that takes the request and ends; return the error, and what stays open."""
    host = ModuleHost()
    pid = os.fork()
    if pid == 0:
        host.keep_answering_end()
        if word == "takes":
            host.requests.recv(1)
        os._exit(0)
    host.keep_asking_end()
    if word == "ended":
        os.waitpid(pid, 0)
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208 - numbers
    try:
        host.ask(module("print()"), {}, os.fsencode(directory))
    except HostGoneError as error:
        return [str(error), *sorted(set(os.listdir("/proc/self/fd")) - before)]  # noqa: PTH208
    return ["no error"]


@pytest.mark.parametrize("word", ["ended", "takes"])
def test_a_supervisor_that_has_ended_is_told(tmp_path: Path, word: str) -> None:
    expected = "the process that was to start the module has ended"
    assert fresh.call(left_alone, str(tmp_path), word) == [expected]
