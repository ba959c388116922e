"""Build what a release publishes, and say what it is made from: `make release`.

Both packages are built twice, in two places, and must be the same bytes. Beside them, in `dist/release`: collection,
`SHA256SUMS`, and `provenance.intoto.jsonl`, an in-toto statement in SLSA's form (https://slsa.dev/spec/v1.0/provenance)
that names the commit and the pinned requirements. It is to be signed by who publishes; nothing is published here.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tools.environment import ROOT, StepFailedError, fail, tell

_PACKAGES: Final = (".", "devcluster")
_COLLECTION: Final = "collections/ansible_collections/reconcile_runner/util"
_SOURCES: Final = "https://github.com/ansible-reconcile-runner/ansible-reconcile-runner"


def release(root: Path, target: Path) -> list[Path]:
    """Build the files of a release from the commit of a clean checkout; return them.

    Raises:
        StepFailedError: The checkout has changes, a build failed, or two builds of a package differ.

    """
    if changes := _git(root, "status", "--porcelain"):
        raise StepFailedError(f"the checkout has changes, a release is made of a commit:\n{changes}")
    commit = _git(root, "rev-parse", "HEAD")
    environment = {**os.environ, "SOURCE_DATE_EPOCH": _git(root, "log", "-1", "--format=%ct")}
    shutil.rmtree(target, ignore_errors=True)
    with tempfile.TemporaryDirectory() as directory:
        builds = [_build(root, Path(directory) / name, environment) for name in ("first", "second")]
        if different := differences(*builds):
            raise StepFailedError(f"two builds of the same commit differ: {', '.join(different)}")
        target.mkdir(parents=True)
        for path in sorted(builds[0].iterdir()):
            shutil.copy(path, target)
        _collection(builds[0].with_name("clone"), target)
    files = sorted(target.iterdir())
    digests = {path.name: _digest(path) for path in files}
    (target / "SHA256SUMS").write_text("".join(f"{digest}  {name}\n" for name, digest in digests.items()), "utf-8")
    statement = provenance(digests, commit, _pinned(root))
    (target / "provenance.intoto.jsonl").write_text(json.dumps(statement, sort_keys=True) + "\n", "utf-8")
    return files


def differences(first: Path, second: Path) -> list[str]:
    """Return the names of files that two directories do not both have, byte by byte."""
    one, other = ({path.name: _digest(path) for path in each.iterdir()} for each in (first, second))
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def provenance(digests: Mapping[str, str], commit: str, pinned: Mapping[str, str]) -> dict[str, Any]:
    """Return the statement: which files, from which commit, with which pinned requirements, all by SHA-256."""
    sources = {"uri": f"git+{_SOURCES}", "digest": {"gitCommit": commit}}
    requirements = [{"name": name, "digest": {"sha256": digest}} for name, digest in pinned.items()]
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": {"sha256": digest}} for name, digest in digests.items()],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": f"{_SOURCES}/blob/{commit}/tools/release.py",
                "externalParameters": {"commit": commit},
                "resolvedDependencies": [sources, *requirements],
            },
            "runDetails": {"builder": {"id": f"{_SOURCES}/blob/{commit}/Makefile"}},
        },
    }


def _build(root: Path, directory: Path, environment: Mapping[str, str]) -> Path:
    """Build both packages from a clone of its own: nothing that is not in the commit comes into them."""
    clone, built = directory / "clone", directory / "built"
    _run(["git", "clone", "--quiet", "--no-local", str(root), str(clone)], root)
    for package in _PACKAGES:
        _run([sys.executable, "-m", "hatchling", "build", "--directory", str(built)], clone / package, environment)
    return built


def _collection(root: Path, target: Path) -> None:
    galaxy = str(Path(sys.executable).with_name("ansible-galaxy"))
    _run([galaxy, "collection", "build", _COLLECTION, "--output-path", str(target)], root)


def _pinned(root: Path) -> dict[str, str]:
    return {f"requirements/{path.name}": _digest(path) for path in sorted((root / "requirements").glob("*.txt"))}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _git(root: Path, *arguments: str) -> str:
    return _run(["git", *arguments], root).strip()


def _run(command: Sequence[str], cwd: Path, environment: Mapping[str, str] | None = None) -> str:
    ended = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise StepFailedError(f"{' '.join(command)}: exit code {ended.returncode}\n{ended.stderr.strip()}")
    return ended.stdout


def main() -> int:
    """Build; return the exit code."""
    target = ROOT / "dist" / "release"
    try:
        files = release(ROOT, target)
    except StepFailedError as error:
        fail(str(error))
    tell(f"{len(files)} files in {target}, with SHA256SUMS and provenance.intoto.jsonl; sign and publish them")
    return 0


if __name__ == "__main__":
    sys.exit(main())
