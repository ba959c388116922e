"""The Pythons that the tests run on: found, downloaded or built. `python -m tools.pythons 3.13` prints where one is.

`find` looks on the PATH and where version managers keep theirs. `provide` gets one that is not there: by uv, which
downloads a build of it, and where nothing can be downloaded, from the sources that Debian packages. What it gets is
kept in the user's cache, for all checkouts.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tools.environment import StepFailedError, fail, locked_environment, run_step, tell
from tools.system_packages import PackageGroup, ensure

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

DEBIAN_SUITES: Final = {11: ("bookworm",), 13: ("trixie",), 14: ("forky", "sid")}
"""By minor: Debian's suites that have the sources. Python 3.12 is in none, and 3.14 in no stable one yet."""

_MANAGED: Final = (
    "${PYENV_ROOT:-~/.pyenv}/versions/{version}*/bin/{name}",
    "${ASDF_DATA_DIR:-~/.asdf}/installs/python/{version}*/bin/{name}",
    "${MISE_DATA_DIR:-~/.local/share/mise}/installs/python/{version}*/bin/{name}",
    "${UV_PYTHON_INSTALL_DIR:-~/.local/share/uv/python}/cpython-{version}*/bin/{name}",
    "/opt/homebrew/bin/{name}",
    "/home/linuxbrew/.linuxbrew/bin/{name}",
)
"""Where version managers keep interpreters; `${VARIABLE:-default}` as a shell has it."""

_USABLE: Final = "import bz2, ctypes, ensurepip, ssl, venv, zlib"
"""What an interpreter must have to make environments, and to run the operator in them."""

_DEBIANS_KEYS: Final = tuple(f"/usr/share/keyrings/debian-archive-keyring.{suffix}" for suffix in ("pgp", "gpg"))
"""Of the package debian-archive-keyring."""

_UV_TIMEOUT: Final = 120.0
_APT_TIMEOUT: Final = 300.0
_CONFIGURE_TIMEOUT: Final = 600.0
_MAKE_TIMEOUT: Final = 3600.0
"""Seconds for the steps of providing a Python."""


class NoInterpreterError(Exception):
    """There is no such Python, and none can be provided. The message says what was tried."""


def find(minor: int) -> str | None:
    """Return a program that is Python 3 of this minor and can make environments; None if there is none."""
    return next((candidate for candidate in _candidates(minor) if _is_usable(candidate)), None)


def provide(minor: int) -> str:
    """Return a program that is Python 3 of this minor and can make environments; get it where it is not there.

    Raises:
        NoInterpreterError: It is not there, and cannot be downloaded or built.

    """
    if found := find(minor):
        return found
    reasons: list[str] = []
    with _exclusive():
        for get in (_download, _build):
            try:
                get(minor)
            except StepFailedError as error:
                reasons.append(str(error))
            if found := find(minor):
                tell(f"Python 3.{minor} is {found}")
                return found
    raise NoInterpreterError(
        f"no Python 3.{minor} on PATH or of a version manager, and none can be provided: {'; '.join(reasons)}"
    )


def cache() -> Path:
    """Return the directory of the Pythons that were got here, `$XDG_CACHE_HOME/ansible-reconcile-runner/pythons`."""
    configured = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(configured) if configured.startswith("/") else Path.home() / ".cache"
    return base / "ansible-reconcile-runner" / "pythons"


def _candidates(minor: int) -> Iterator[str]:
    name, version = f"python3.{minor}", f"3.{minor}."
    if found := shutil.which(name):
        yield found
    for place in (*_MANAGED, f"{cache()}/*{version}*/bin/{{name}}"):
        pattern = _expanded(place).format(name=name, version=version)
        yield from (str(path) for path in sorted(Path("/").glob(pattern.lstrip("/")), reverse=True))


def _expanded(place: str) -> str:
    """Replace a `${VARIABLE:-default}` at the beginning, and `~`."""
    variable = re.match(r"\$\{(\w+):-([^}]+)\}", place)
    if variable:
        place = (os.environ.get(variable[1]) or variable[2]) + place[variable.end() :]
    return str(Path(place).expanduser())


def _is_usable(candidate: str) -> bool:
    """Tell whether a program runs and has what is needed: a shim may stand for one that is not installed."""
    try:
        tried = subprocess.run([candidate, "-I", "-c", _USABLE], capture_output=True, check=False)
    except OSError:
        return False
    return tried.returncode == 0


@contextmanager
def _exclusive() -> Iterator[None]:
    """Be the only one who provides Pythons, over all checkouts of this user."""
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _download(minor: int) -> None:
    """Have uv download a build of a Python. Raises `StepFailedError`."""
    uv = locked_environment("lock") / "bin" / "uv"
    # No waiting where nothing can be reached: another way follows.
    settings = ("env", "UV_HTTP_RETRIES=0", "UV_HTTP_TIMEOUT=30", "UV_NO_CONFIG=1")
    command = [*settings, str(uv), "python", "install", "--no-bin", "--install-dir", str(cache()), f"3.{minor}"]
    _step(f"downloading Python 3.{minor}", command, _UV_TIMEOUT, "uv could not download it")


def _build(minor: int) -> None:
    """Build a Python from the sources that Debian packages. Raises `StepFailedError`."""
    suites = DEBIAN_SUITES.get(minor)
    if suites is None:
        raise StepFailedError(f"Debian has no sources of Python 3.{minor}")
    if shutil.which("apt-get") is None:
        raise StepFailedError("its sources come with Debian's apt-get, which is not here")
    ensure([PackageGroup.PYTHON])
    with tempfile.TemporaryDirectory(prefix=f"python3.{minor}-") as directory:
        place = Path(directory)
        archive = _sources(minor, suites, place)
        _step("unpacking", ["tar", "--extract", "--file", str(archive), "--directory", directory], _APT_TIMEOUT)
        [tree] = (path.parent for path in place.glob("*/configure"))
        version = re.search(r"[\d.]+", tree.name)
        _compile(tree, cache() / f"built-{version[0] if version else f'3.{minor}.x'}")


def _compile(tree: Path, target: Path) -> None:
    """Configure, make and install a source tree. It takes some minutes."""
    jobs = f"--jobs={os.cpu_count() or 1}"
    name = target.name.removeprefix("built-")
    configure = ["sh", "-c", 'cd "$1" && exec ./configure --quiet --prefix="$2"', "configure", str(tree), str(target)]
    _step(f"configuring Python {name}", configure, _CONFIGURE_TIMEOUT)
    _step(f"building Python {name}", ["make", "--silent", "-C", str(tree), jobs], _MAKE_TIMEOUT)
    # Not `install`: `python3` must not be in anybody's way.
    _step(f"installing Python {name}", ["make", "--silent", "-C", str(tree), "altinstall"], _MAKE_TIMEOUT)


def _sources(minor: int, suites: Sequence[str], place: Path) -> Path:
    """Download the sources of a Python; return the archive that its makers published.

    apt checks them by Debian's signatures. Its lists are of this call alone: nothing of the system changes.
    """
    mirror, keyring = _mirror()
    signed = f" [signed-by={keyring}]" if keyring else ""
    problem = ""
    for suite in suites:
        lists = place / suite
        (lists / "partial").mkdir(parents=True)
        (place / "sources.list").write_text(f"deb-src{signed} {mirror} {suite} main\n", encoding="utf-8")
        options = [
            *("-o", f"Dir::Etc::sourcelist={place / 'sources.list'}", "-o", "Dir::Etc::sourceparts=-"),
            *("-o", f"Dir::State::lists={lists}", "-o", f"Dir::Cache={lists}", "-o", "APT::Sandbox::User="),
        ]
        try:
            _step(f"listing the sources of {suite}", ["apt-get", *options, "update", "--error-on=any"], _APT_TIMEOUT)
            get = ["sh", "-c", 'cd "$1" && shift && exec "$@"', "get", str(place)]
            source = ["apt-get", *options, "source", "--download-only", f"python3.{minor}"]
            _step(f"downloading the sources of Python 3.{minor}", [*get, *source], _APT_TIMEOUT)
        except StepFailedError as error:
            problem = str(error)
            continue
        if found := next(place.glob("*.orig.tar.*z"), None):
            return found
    raise StepFailedError(problem or f"{', '.join(suites)} have no archive of Python 3.{minor}")


def _mirror() -> tuple[str, str]:
    """Return the mirror of Debian's that this machine uses, and the file of Debian's keys, empty without one."""
    asked = ["apt-get", "indextargets", "--format", "$(ORIGIN)|$(REPO_URI)", "Created-By: Packages"]
    answer = subprocess.run(asked, capture_output=True, text=True, check=False)
    for line in answer.stdout.splitlines():
        origin, address = line.split("|")
        if origin == "Debian" and "security" not in address:
            return address, next((keys for keys in _DEBIANS_KEYS if Path(keys).exists()), "")
    raise StepFailedError("its sources come from a mirror of Debian's, and apt knows none here (apt-get update)")


def _step(what: str, command: Sequence[str], timeout: float, problem: str = "") -> None:
    answer = run_step(what, command, timeout)
    if answer.returncode != 0:
        lines = [line for line in answer.stdout.splitlines() if line.strip()]
        # apt's first error says more than its last one.
        errors = [line for line in lines if line.startswith("E: ")][:1] or lines[-1:]
        said = errors[0].strip() if errors else f"exit code {answer.returncode}"
        raise StepFailedError(f"{problem or what}: {said}")


def main(arguments: list[str]) -> None:
    """Provide the Pythons that are named (`3.13`), and print where each is."""
    for argument in arguments:
        named = re.fullmatch(r"3\.(\d+)", argument)
        if named:
            try:
                print(provide(int(named[1])))
            except NoInterpreterError as error:
                fail(str(error))
        else:
            fail(f"usage: python -m tools.pythons 3.MINOR…; found {argument!r}")


if __name__ == "__main__":
    main(sys.argv[1:])
