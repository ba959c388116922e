"""The program that ansible-runner starts in place of ``ansible-playbook``.

It has the server run the playbook. It is copied into a private directory and started by the path of an interpreter. It
exits as the playbook does, and when it is killed, the server ends the run. If the server cannot run the playbook, or
does not begin to in time, it becomes ``ansible-playbook``.

It imports built-in modules only: it starts once for each run, and its start is part of every run's time.
"""

import _signal  # type: ignore[import-not-found]  # the type checker does not know it
import _socket
import marshal
import posix
import sys


def main() -> None:
    """Have the playbook run and exit with its exit code, or by its signal."""
    home = sys.argv[0].rpartition("/")[0]
    argv = [posix.readlink(f"{home}/ansible-playbook"), *sys.argv[1:]]
    patience = float(posix.readlink(f"{home}/patience"))
    umask = posix.umask(0o077)
    posix.umask(umask)
    request = marshal.dumps((argv, posix.getcwd(), umask, posix.environ))
    while True:
        connection = _connect(f"{home}/socket")
        if connection is None:
            break
        answer = _send(connection, request, patience)
        # No answer: the server died before it began the run. The engine starts another on the same socket.
        if answer:
            _follow(answer, connection, home)
            break
    posix.execve(argv[0], argv, posix.environ)


def _connect(path: str) -> _socket.socket | None:
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        connection.connect(path)
    except OSError:
        return None
    return connection


def _send(connection: _socket.socket, request: bytes, patience: float) -> bytes:
    """Return the answer to a request; where none comes in time, that the server cannot run it."""
    terminal = b"".join(descriptor.to_bytes(4, sys.byteorder) for descriptor in (0, 1, 2))
    connection.settimeout(patience)
    try:
        connection.sendmsg([len(request).to_bytes(4, "big")], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, terminal)])
        view = memoryview(request)
        while view:
            view = view[connection.send(view) :]
        answer = connection.recv(1)
        connection.settimeout(None)
    except TimeoutError:
        # A run that is begun after all ends at once: its supervisor finds the connection closed.
        connection.close()
        return b"X"
    except OSError:
        return b""
    return answer


def _follow(answer: bytes, connection: _socket.socket, home: str) -> None:
    """Wait for the end of the run and end as it did.

    Returns if ``ansible-playbook`` is to be started instead.
    """
    if answer == b"S":
        answer = _receive_end(connection)
        if answer[:1] == b"E":
            posix._exit(answer[1])  # noqa: SLF001 - its public name
        if answer[:1] == b"K":
            _end_by(answer[1])
        if answer == b"":
            _mark_as_lost(home)
            posix._exit(1)  # noqa: SLF001


def _end_by(number: int) -> None:
    try:  # noqa: SIM105 - contextlib is not built in
        _signal.signal(number, _signal.SIG_DFL)
    except OSError:
        pass  # SIGKILL needs nothing
    posix.kill(posix.getpid(), number)
    posix._exit(128 + number)  # noqa: SLF001


def _receive_end(connection: _socket.socket) -> bytes:
    try:
        return connection.recv(2)
    except OSError:
        return b""


def _mark_as_lost(home: str) -> None:
    job = posix.environ.get(b"RECONCILE_RUNNER_JOB", b"").decode()
    posix.close(posix.open(f"{home}/lost/{job}", posix.O_CREAT | posix.O_WRONLY, 0o600))


if __name__ == "__main__":
    main()
