"""Hold the namespaces of a node, and start programs in them.

Run as `python -I -S namespaces.py hold …` (process 1 of the node; everything in the node ends with it) and `… enter …`
(one program in it), by `node` through `process.spawn`. Standard library only, since it runs without site-packages.

The node has its own mounts, network and process ids. So it can use the paths and firewall chains that its programs have
built in, beside a container runtime of the machine, and the kernel takes all of it back when process 1 ends.
"""

import argparse
import ctypes
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

_CLONE_NEWNS = 0x00020000
_CLONE_NEWPID = 0x20000000
_CLONE_NEWNET = 0x40000000
_PR_SET_PDEATHSIG = 1

_KERNEL_SETTINGS = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}
"""What the kubelet wants to find under /proc/sys (its `setupKernelTunables`); else it would set the machine's."""

_libc = ctypes.CDLL(None, use_errno=True)


def main(arguments: Sequence[str]) -> int:
    """Hold namespaces or enter them; returns the exit code."""
    parser = argparse.ArgumentParser()
    actions = parser.add_subparsers(required=True)
    hold_parser = actions.add_parser("hold")
    hold_parser.add_argument("--data", type=Path, help="the node's directory, absolute")
    hold_parser.add_argument("--kept", type=Path, action="append", help="a directory that must stay visible, absolute")
    hold_parser.add_argument("--pid-file", type=Path, help="gets the pid of process 1 when the mounts are in place")
    hold_parser.set_defaults(action=lambda given: hold(given.data, given.kept, given.pid_file))
    enter_parser = actions.add_parser("enter")
    enter_parser.add_argument("--pid", type=int, help="process 1 of the node, as the machine counts")
    enter_parser.add_argument("program", nargs=argparse.REMAINDER)
    enter_parser.set_defaults(action=lambda given: enter(given.pid, given.program))
    given = parser.parse_args(arguments)
    code: int = given.action(given)
    return code


def hold(data: Path, kept: Sequence[Path], pid_file: Path) -> int:
    """Make the namespaces, and wait until process 1 ends or we are asked to end it."""
    _check(_libc.unshare(_CLONE_NEWNS | _CLONE_NEWNET | _CLONE_NEWPID), "unshare")

    def process_1() -> int:
        make_mounts(data, kept)
        os.write(ready, b"1")
        os.close(ready)
        return reap_for_ever()

    is_ready, ready = os.pipe()
    child = _fork(process_1)
    os.close(ready)
    if os.read(is_ready, 1):
        temporary = pid_file.with_suffix(".new")
        temporary.write_text(str(child), encoding="ascii")
        temporary.replace(pid_file)
    return _wait_for(child, signal.SIGKILL)


def enter(pid: int, program: Sequence[str]) -> int:
    """Run a program in the node, in our own working directory; it ends with us, and SIGTERM is handed on to it."""
    directory = Path.cwd()
    descriptors = [os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY) for kind in ("net", "pid", "mnt")]
    for descriptor in descriptors:
        _check(_libc.setns(descriptor, 0), "setns")
        os.close(descriptor)
    os.chdir(directory)
    # Programs of administrators, which containerd and kube-proxy start by name, are not on everybody's path.
    os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])
    return _wait_for(_fork(lambda: os.execvp(program[0], [*program])), signal.SIGTERM)  # noqa: S606 - the purpose


def make_mounts(data: Path, kept: Sequence[Path]) -> None:
    """Mount what the node has for itself; directories in `kept` stay what they are, wherever they lie."""
    # What the machine unmounts goes here as well; what is mounted here stays here.
    _mount("--make-rslave", "/")
    # Pods may mount things for their node (mountPropagation), which the kubelet expects to work.
    _mount("--make-rshared", "/")
    descriptors = {path: os.open(path, os.O_PATH) for path in kept}
    _mount("-t", "proc", "proc", "/proc")
    _mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    for name in ("upper", "work"):
        Path("/run/.lib", name).mkdir(parents=True)
    _mount(
        "-t", "overlay", "-o", "lowerdir=/var/lib,upperdir=/run/.lib/upper,workdir=/run/.lib/work", "lib", "/var/lib"
    )
    for path, descriptor in descriptors.items():
        path.mkdir(parents=True, exist_ok=True)
        # The link must not be read as a path, which leads to what has just been mounted over it.
        _mount("--no-canonicalize", "--bind", f"/proc/{os.getpid()}/fd/{descriptor}", str(path))
        os.close(descriptor)
    for target in ("/var/lib/containerd", "/var/lib/kubelet", "/var/log"):
        source = data / target.rsplit("/", 1)[-1]
        source.mkdir(mode=0o711, exist_ok=True)
        Path(target).mkdir(exist_ok=True)
        _mount("--bind", str(source), target)
    _hide_kernel_settings()


def reap_for_ever() -> int:
    """Collect the processes that lost their parent: process 1's only duty. Ends with SIGKILL from outside."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    while True:
        signal.sigwait({signal.SIGCHLD})
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            continue


def _hide_kernel_settings() -> None:
    """Show the kubelet the kernel settings it wants, for it would change the machine's to them."""
    for name, wanted in _KERNEL_SETTINGS.items():
        actual = Path("/proc/sys", name)
        shown = Path("/run/.sysctl", name)
        shown.parent.mkdir(parents=True, exist_ok=True)
        shown.write_text(wanted + "\n", encoding="ascii")
        if actual.exists():
            _mount("--bind", str(shown), str(actual))


def _fork(main_of_child: Callable[[], int]) -> int:
    """Start a child process that the kernel kills as soon as this one ends."""
    alive, held_by_us = os.pipe()
    child = os.fork()
    if child:
        os.close(alive)
        return child
    code = 1
    try:
        os.close(held_by_us)
        _check(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")
        # From another process namespace, the parent's pid cannot tell that it ended before the request was in place.
        if not select.select([alive], [], [], 0)[0]:
            os.close(alive)
            code = main_of_child()
    except Exception as error:  # noqa: BLE001 - the last words of a process of its own
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
    finally:
        os._exit(code)


def _wait_for(child: int, answer: signal.Signals) -> int:
    """Wait for a child; SIGTERM and SIGINT become a signal to it. Returns its exit code, 128 and more for a signal."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os.kill(child, answer))
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, stdin=subprocess.DEVNULL)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
