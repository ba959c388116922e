"""Make `.venv` with the pinned, hashed requirements of the running Python; quick when all is there already.

The first step of `make setup`. Run by the Python that the environment is to have: `python3 -m tools.setup_venv`.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys

from tools.environment import REQUIREMENTS, ROOT, VENV, digest, exclusive, fail, is_stamped, run_step, tell

PROJECTS = (ROOT, ROOT / "devcluster")
"""The Python projects of this repository."""

_STAMP = VENV / ".requirements-stamp"


def python_minor() -> str:
    """Return major and minor version of the running Python as the requirement files name them, for example `311`."""
    return f"{sys.version_info.major}{sys.version_info.minor}"


def main() -> None:
    """Create or renew the environment."""
    requirements = REQUIREMENTS / f"dev-py{python_minor()}.txt"
    if not requirements.exists():
        known = ", ".join(sorted(path.name for path in REQUIREMENTS.glob("dev-py3*.txt")))
        fail(f"no pinned requirements for this Python ({requirements.name}); there are {known}")
    if importlib.util.find_spec("ensurepip") is None:
        fail(f"{sys.executable} has no venv module (on Debian and Ubuntu: apt install python3-venv)")
    projects = [(project / "pyproject.toml").read_bytes() for project in PROJECTS]
    who = [sys.version.encode(), sys.base_prefix.encode(), str(VENV).encode()]
    content = digest(requirements.read_bytes(), *projects, *who)
    with exclusive():
        if is_stamped(_STAMP, content):
            return
        if not _is_of_this_python():
            _create()
        _install(requirements.name)
        _install_projects()
        _STAMP.write_text(content, encoding="utf-8")
    tell(f"{VENV.name} has Python {sys.version.split()[0]} and {requirements.name}")


def _is_of_this_python() -> bool:
    """Whether the environment works and belongs to the Python that runs us."""
    question = "import pip, sys; print(sys.version, sys.base_prefix, sys.prefix)"
    try:
        answer = subprocess.run(
            [str(VENV / "bin" / "python"), "-I", "-c", question], capture_output=True, text=True, check=False
        )
    except OSError:
        return False
    return answer.stdout.strip() == f"{sys.version} {sys.base_prefix} {VENV}"


def _create() -> None:
    if VENV.exists():
        tell(f"{VENV.name} is of another Python or broken; making it again")
        shutil.rmtree(VENV)
    answer = run_step(f"creating {VENV.name}", [sys.executable, "-m", "venv", str(VENV)])
    if answer.returncode != 0:
        fail(f"{VENV}: could not be created:\n{answer.stdout.strip()}")


def _install(requirements: str) -> None:
    command = [
        *(str(VENV / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"),
        *("--require-hashes", "--only-binary=:all:", "-r", str(REQUIREMENTS / requirements)),
    ]
    answer = run_step(f"installing {requirements}", command)
    if answer.returncode != 0:
        fail(f"{requirements}: could not be installed:\n{answer.stdout.strip()}")


def _install_projects() -> None:
    """Install this repository's packages in place: what is edited here is what runs.

    Everything that they need is there already, the build backend included, so pip asks no index.
    """
    command = [
        *(str(VENV / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"),
        *("--no-deps", "--no-build-isolation", "--no-index"),
        *(part for project in PROJECTS for part in ("--editable", str(project))),
    ]
    answer = run_step("installing this project in place", command)
    if answer.returncode != 0:
        fail(f"the project could not be installed:\n{answer.stdout.strip()}")


if __name__ == "__main__":
    main()
