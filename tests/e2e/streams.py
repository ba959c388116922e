"""A program for tasks of a role: streams to and from a container with kubectl, through the run's kubeconfig.

``streams.py OPERATION KUBECTL NAMESPACE POD``: attach and port-forward say a word and print the answer; logs prints the
first line that comes after the stream was open. Each ends as soon as it has seen what it waited for.
"""

from __future__ import annotations

import re
import socket
import subprocess
import sys

WORD = "swordfish"
PORT = 7777


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def attach(kubectl: str, *where: str) -> None:
    """Type a line to the container's process, which repeats it."""
    command = [kubectl, "attach", "--stdin", *where]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        process.stdin.write(f"{WORD}\n")  # type: ignore[union-attr]
        say(_line_with(process, f"heard {WORD}"))
        process.kill()


def port_forward(kubectl: str, *where: str) -> None:
    """Say a word to the server in the container, which answers in capitals; twice on a port that is opened twice."""
    command = [kubectl, "port-forward", *where, f":{PORT}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        port = int(re.search(r"127\.0\.0\.1:(\d+)", _line_with(process, "Forwarding from")).group(1))  # type: ignore[union-attr]
        for word in (WORD, WORD * 20_000):
            with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
                connection.sendall(f"{word}\n".encode())
                answer = connection.makefile("rb").readline().rstrip()
            is_right = answer == word.upper().encode()
            say(f"{len(answer)} bytes, which are {'right' if is_right else 'wrong'}")
        process.kill()


def logs(kubectl: str, *where: str) -> None:
    """Open the log, make the container log a line by a connection of its own, and wait for that line."""
    with subprocess.Popen([kubectl, "logs", "--follow", *where], stdout=subprocess.PIPE, text=True) as process:
        _line_with(process, "listening")
        script = f"echo late {WORD} > /proc/1/fd/1"
        subprocess.run([kubectl, "exec", *where, "--", "/bin/sh", "-c", script], check=True)
        say(_line_with(process, f"late {WORD}"))
        process.kill()


def _line_with(process: subprocess.Popen[str], words: str) -> str:
    for line in process.stdout or ():
        if words in line:
            return line.strip()
    raise SystemExit(f"{process.args!r}: ended without {words!r}")


if __name__ == "__main__":
    {"attach": attach, "port-forward": port_forward, "logs": logs}[sys.argv[1]](
        sys.argv[2], "--namespace", *sys.argv[3:]
    )
