"""The collection's documentation: ansible-doc can show it, and ansible-test's own checker agrees with it.

`ansible-test sanity` itself wants to build virtual environments with a pip that it downloads, so its checker is started
directly; that is all `ansible-test sanity --test validate-modules` does besides.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.ansible_support import clean_environment, collection_paths
from tests.support.paths import REPOSITORY

COLLECTION = Path("ansible_collections/reconcile_runner/util")
MODULES = sorted(path.name for path in (REPOSITORY / "collections" / COLLECTION / "plugins/modules").glob("*.py"))
EXPECTED = {
    "k8s_event.py": ("involvedObject", "result"),
    "k8s_status.py": ("conditions", "result"),
    "osdk_metric.py": ("histogram", "status_code"),
    "requeue_after.py": ("time", "period"),
}
"""One option and one result of each module."""
CHECKER_NEEDS = ("voluptuous", "antsibull_docs_parser")


@pytest.fixture
def copied_collection(tmp_path: Path) -> Path:
    """Make a tree with nothing but the collection and kubernetes.core, as the checker expects it."""
    shutil.copytree(
        REPOSITORY / "collections" / COLLECTION, tmp_path / COLLECTION, ignore=shutil.ignore_patterns("__pycache__")
    )
    kubernetes_core = Path("ansible_collections/kubernetes/core")
    [source, *_] = [path / kubernetes_core for path in collection_paths() if (path / kubernetes_core).exists()]
    (tmp_path / kubernetes_core).parent.mkdir()
    (tmp_path / kubernetes_core).symlink_to(source)
    return tmp_path / COLLECTION


@pytest.mark.parametrize("module", MODULES)
def test_the_checker_of_ansible_test_finds_nothing(module: str, copied_collection: Path) -> None:
    missing = [name for name in CHECKER_NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"ansible-test's checker needs {', '.join(missing)}, which is not installed")
    root = copied_collection.parents[2]
    spec = importlib.util.find_spec("ansible_test")
    assert spec is not None
    assert spec.origin is not None
    checker = Path(spec.origin).parent / "_util/controller/sanity/validate-modules"
    done = subprocess.run(
        [
            *(sys.executable, str(checker / "validate.py"), "--format", "json", "--arg-spec"),
            *("--collection", str(COLLECTION), "--collection-version", "0.1.0", f"plugins/modules/{module}"),
        ],
        cwd=copied_collection,
        env=clean_environment(root, ANSIBLE_COLLECTIONS_PATH=str(root), PYTHONPATH=f"{checker}:{root}"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    found = json.loads(done.stdout).get(f"plugins/modules/{module}", {"errors": [], "warnings": []})
    complaints = found["errors"] + found["warnings"]
    ignored = ignored_codes(copied_collection, module)
    assert [complaint for complaint in complaints if complaint["code"] not in ignored] == []
    assert ignored <= {complaint["code"] for complaint in complaints}, "an entry of the ignore file is not needed"


def ignored_codes(collection: Path, module: str) -> set[str]:
    """Read the ignore file that ansible-test would read for this ansible-core."""
    minor = ".".join(importlib.metadata.version("ansible-core").split(".")[:2])
    lines = (collection / f"tests/sanity/ignore-{minor}.txt").read_text(encoding="utf-8").splitlines()
    entries = [line.split("#")[0].split() for line in lines]
    prefix = "validate-modules:"
    return {
        code.removeprefix(prefix)
        for path, code in entries
        if path == f"plugins/modules/{module}" and code.startswith(prefix)
    }


@pytest.mark.parametrize("module", MODULES)
def test_ansible_doc_shows_options_examples_and_results(module: str, tmp_path: Path) -> None:
    name = f"reconcile_runner.util.{module.removesuffix('.py')}"
    done = subprocess.run(
        [str(Path(sys.executable).parent / "ansible-doc"), "-t", "module", "-j", name],
        env=clean_environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    documentation = json.loads(done.stdout)[name]
    option, result = EXPECTED[module]
    assert option in documentation["doc"]["options"]
    assert result in documentation["return"]
    assert documentation["examples"]
