"""Runs the unit tests as somebody who has nothing but the source and Python: ``python -m tools.unit_as_stranger``.

A copy of the tracked files and of ``.venv``, which another user may read and not write; that user's id; an empty
environment. Nothing of the machine can make a unit test green there. Arguments are pytest's. Needs root for another
user's id: without it, the tests run as the caller.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
NOBODY = 65534
_LEFT_OUT = ("__pycache__", "test", "idlelib", "site-packages")
"""Directories of an interpreter that its copy does without."""


def stranger(environ: Mapping[str, str]) -> dict[str, object]:
    """Return the arguments of ``subprocess.run`` for a process of the stranger, with this environment."""
    identity: dict[str, object] = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    return {"env": dict(environ), **identity}


def copy_sources(target: Path) -> None:
    """Copy what git tracks, and what it would: not what was made here."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        source, copy = REPOSITORY / name, target / name
        if source.is_symlink() or source.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copy, follow_symlinks=False)


def base_interpreter(directory: Path) -> Path:
    """Return the interpreter of ``.venv``, or a copy of it where its directory is closed to others (``/root``)."""
    base = Path(sys.base_prefix)
    program = Path(os.path.realpath(sys.executable))
    try:
        subprocess.run([program, "-c", ""], check=True, cwd="/", **stranger({}))  # type: ignore[call-overload]
    except (OSError, subprocess.CalledProcessError):
        shutil.copytree(base, directory, symlinks=True, ignore=shutil.ignore_patterns(*_LEFT_OUT))
        return directory / program.relative_to(base)
    return program


def make_environment(interpreter: Path, environment: Path, sources: Path, environ: Mapping[str, str]) -> Path:
    """Make a virtual environment with the packages of this one; return its interpreter."""
    subprocess.run([interpreter, "-m", "venv", "--without-pip", environment], env=dict(environ), check=True)
    packages = Path(sysconfig.get_path("purelib"))
    copy = environment / packages.relative_to(sys.prefix)
    shutil.copytree(packages, copy, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    for file in (*copy.glob("*.pth"), *copy.glob("*/direct_url.json")):  # this project, installed in place
        file.write_text(file.read_text(encoding="utf-8").replace(str(REPOSITORY), str(sources)), encoding="utf-8")
    return environment / "bin" / "python"


def open_to_others(directory: Path) -> None:
    """Let others read what is below a directory."""
    for path in (directory, *directory.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | 0o444 | (0o111 if path.is_dir() or mode & 0o100 else 0))


def main(arguments: list[str]) -> int:
    """Run the tests; return pytest's exit code."""
    with tempfile.TemporaryDirectory(prefix="stranger-") as name:
        root = Path(name)
        sources = root / "sources"
        copy_sources(sources)
        interpreter = base_interpreter(root / "python")
        # A copy of an interpreter looks for its library where the original lies, which is closed to the stranger.
        environ = {"LD_LIBRARY_PATH": str(root / "python" / "lib")} if (root / "python").exists() else {}
        python = make_environment(interpreter, root / "venv", sources, environ)
        open_to_others(root)
        command = [python, "-m", "pytest", "-p", "no:cacheprovider", "tests/unit", *arguments]
        return subprocess.run(command, cwd=sources, check=False, **stranger(environ)).returncode  # type: ignore[call-overload,no-any-return]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
