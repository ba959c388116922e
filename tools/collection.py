"""Check the collection `reconcile_runner.util` as Ansible Galaxy does when it is published: `make collection-check`.

It is built, imported by galaxy-importer (metadata, licence, changelog, documentation, ansible-lint), and its changelog
goes through antsibull-changelog's linter. The programs have an environment of their own, `.venvs/collection`.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tools.environment import ROOT, StepFailedError, fail, locked_environment, run_step, tell

if TYPE_CHECKING:
    from collections.abc import Iterator

COLLECTION: Final = ROOT / "collections/ansible_collections/reconcile_runner/util"
_DEPENDENCIES: Final = ROOT / ".collections"

_EXPECTED: Final = (
    # One option of k8s_event is called `message`, as upstream's; ansible-test asks that it be renamed.
    re.compile(r"WARNING: tests/sanity/ignore-.*validate-modules:invalid-argument-name"),
    re.compile(r"WARNING: tests/sanity/ignore-.*validate-modules:nonexistent-parameter-documented"),
    re.compile(r"WARNING: Ignore files skip ansible-test sanity tests, found ignore-\S+ with 2 statement\(s\)"),
)
"""What galaxy-importer says and is known."""

_COMPLAINT: Final = re.compile(r"^(ERROR|WARNING|CRITICAL)\b")


def main() -> None:
    """Print what is wrong, and end with exit code 1, unless nothing is."""
    try:
        environment = locked_environment("collection")
    except StepFailedError as error:
        fail(str(error))
    _add_dependencies(environment)
    with tempfile.TemporaryDirectory(prefix="collection-check-") as directory:
        archive = _build(environment, Path(directory))
        found = [*_import(environment, archive), *_lint_changelog(environment)]
    if found:
        fail("\n".join(["the collection cannot be published as it is:", *found]))
    tell(f"galaxy-importer takes {archive.name}")


def _add_dependencies(environment: Path) -> None:
    """Let ansible-doc find kubernetes.core, whose documentation ours extends: galaxy-importer sets the path itself."""
    [site_packages] = environment.glob("lib/python3*/site-packages")
    (site_packages / "dependencies.pth").write_text(f"{_DEPENDENCIES}\n", encoding="utf-8")


def _build(environment: Path, into: Path) -> Path:
    # In a copy: what a run leaves beside the files (__pycache__) is not to be published.
    copy = into / "source"
    files = subprocess.run(["git", "ls-files", "-z", "."], cwd=COLLECTION, capture_output=True, text=True, check=True)
    for name in filter(None, files.stdout.split("\0")):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes((COLLECTION / name).read_bytes())
    galaxy = [str(environment / "bin" / "ansible-galaxy"), "collection", "build", "--output-path", str(into), str(copy)]
    answer = run_step("building the collection", galaxy)
    if answer.returncode != 0:
        fail(f"the collection cannot be built:\n{answer.stdout.strip()}")
    [archive] = into.glob("*.tar.gz")
    return archive


def _import(environment: Path, archive: Path) -> Iterator[str]:
    program = [str(environment / "bin" / "python"), "-m", "galaxy_importer.main", str(archive)]
    path = f"{environment / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    variables = {"PATH": path, "HOME": str(archive.parent), "LANG": "C.UTF-8"}
    answer = run_step(
        "importing the collection",
        ["env", f"--chdir={archive.parent}", "-i", *(f"{k}={v}" for k, v in variables.items()), *program],
    )
    yield from complaints(answer.stdout)
    if answer.returncode != 0 or "Importer processing completed successfully" not in answer.stdout:
        yield f"galaxy-importer ended with exit code {answer.returncode}:\n{answer.stdout.strip()}"


def complaints(printed: str) -> list[str]:
    """Return the lines of galaxy-importer that complain of something that is not known."""
    lines = [line for line in printed.splitlines() if _COMPLAINT.match(line)]
    return [line for line in lines if not any(known.match(line) for known in _EXPECTED)]


def _lint_changelog(environment: Path) -> Iterator[str]:
    changelog = COLLECTION / "changelogs" / "changelog.yaml"
    linter = [str(environment / "bin" / "antsibull-changelog"), "lint-changelog-yaml", str(changelog)]
    answer = run_step("checking the changelog", linter)
    if answer.returncode != 0:
        yield f"antsibull-changelog: {answer.stdout.strip()}"


if __name__ == "__main__":
    main()
