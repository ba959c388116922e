"""A program for tasks of a role: streams to and from a container with kubectl, through the run's kubeconfig.

``streams.py OPERATION KUBECTL NAMESPACE POD`` says in two lines which protocol was agreed on and what it saw. It ends
as soon as it has seen what it waited for.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

WORD = "swordfish"
MANY = 300_000
"""Bytes: more than fits into any one frame or buffer on the way."""

PORT = 7777

_AGREED = re.compile(r"Upgrade: (\S+)")
"""In what kubectl says of the answers that it gets."""


@contextmanager
def streaming(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run kubectl until the block ends; then say which protocol it spoke, which is its last agreement."""
    with tempfile.TemporaryFile("w+") as told:
        with subprocess.Popen(
            [*command, "-v=8"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=told
        ) as process:
            yield process
            process.kill()
        told.seek(0)
        text = told.read()
        agreed: list[str] = _AGREED.findall(text)
        say(agreed[-1].partition("/")[0].lower() if agreed else f"no upgrade: {text[-2000:]}")


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def execute(kubectl: str, *where: str) -> None:
    """Send many bytes through a command that gives them back."""
    sent = os.urandom(MANY)
    with streaming(kubectl, "exec", "--stdin", *where, "--", "cat") as process:
        received, _ = process.communicate(sent)
    say(f"{len(received)} bytes, {'the same' if received == sent else 'others'}")


def attach(kubectl: str, *where: str) -> None:
    """Type a line to the container's process, which repeats it."""
    with streaming(kubectl, "attach", "--stdin", *where) as process:
        type_line(process, WORD)
        seen = line_with(process, "heard")
    say(seen)


def port_forward(kubectl: str, *where: str) -> None:
    """Send a short line and a long one, each on a connection of its own, to the server, which answers in capitals."""
    answers = []
    with streaming(kubectl, "port-forward", *where, f":{PORT}") as process:
        port = int(line_with(process, "Forwarding from 127").split(":")[1].split()[0])
        for word in (WORD, WORD * (MANY // len(WORD))):
            with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
                connection.sendall(f"{word}\n".encode())
                answers.append(connection.makefile().readline().rstrip() == word.upper())
    say(f"right answers: {answers}")


def logs(kubectl: str, *where: str) -> None:
    """Open the log, have the container log a line after that, and wait for it. A log is plain HTTP."""
    with streaming(kubectl, "logs", "--follow", *where) as process:
        line_with(process, "listening")
        script = f"echo late {WORD} > /proc/1/fd/1"
        subprocess.run([kubectl, "exec", *where, "--", "/bin/sh", "-c", script], check=True)
        seen = line_with(process, "late")
    say(seen)


def type_line(process: subprocess.Popen[bytes], text: str) -> None:
    if process.stdin is not None:
        process.stdin.write(f"{text}\n".encode())
        process.stdin.flush()


def line_with(process: subprocess.Popen[bytes], words: str) -> str:
    """Return the first line of its output that has these words."""
    for line in process.stdout or ():
        if words.encode() in line:
            return line.decode().strip()
    raise SystemExit(f"{process.args!r}: ended without {words!r}")


if __name__ == "__main__":
    operations = {"exec": execute, "attach": attach, "port-forward": port_forward, "logs": logs}
    operations[sys.argv[1]](sys.argv[2], "--namespace", *sys.argv[3:])
