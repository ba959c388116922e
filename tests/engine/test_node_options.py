"""Every option of the modules that talk to a node has a case, which `tests/e2e/test_node_options.py` runs on one.

The options are those of the installed collection's own documentation, so a newer one with another option is told here.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.ansible_support import clean_environment, collection_paths
from tests.support.nodecases import (
    CASES,
    COLLECTION,
    NODE_MODULES,
    NOT_OURS,
    OTHER_MODULES,
    documented,
)


def ansible_doc(directory: Path, *arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [str(Path(sys.executable).parent / "ansible-doc"), "-t", "module", "--json", *arguments],
        env=clean_environment(directory), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Give the options of each module, those inside of others as ``outer.inner``."""
    names = [f"{COLLECTION}.{module}" for module in (*NODE_MODULES, "k8s_cluster_info")]
    told = ansible_doc(tmp_path_factory.mktemp("doc"), *names)
    return {name.rpartition(".")[2]: set(documented(one["doc"]["options"])) for name, one in told.items()}


@pytest.fixture(scope="module")
def connecting(options: dict[str, set[str]]) -> set[str]:
    """Give the options by which every module is led to an API server: this one has few others."""
    return options["k8s_cluster_info"] - {"invalidate_cache"}


@pytest.mark.parametrize("module", NODE_MODULES)
def test_every_option_of_a_module_that_talks_to_a_node_has_a_case(
    module: str, options: dict[str, set[str]], connecting: set[str]
) -> None:
    used = frozenset[str]().union(*(case.used for case in CASES if case.module == module))
    assert options[module] - connecting - used == set(), "options without a case"


def test_every_option_that_leads_to_an_api_server_has_a_case(connecting: set[str]) -> None:
    """The modules take these from the same code: one task of any of them is enough."""
    used = frozenset[str]().union(*(case.used for case in CASES))
    assert connecting - set(NOT_OURS) - used == set(), "options without a case"


def test_options_without_a_case_are_options(connecting: set[str]) -> None:
    assert set(NOT_OURS) - connecting == set()
    assert set(NOT_OURS) & frozenset[str]().union(*(case.used for case in CASES)) == set()


def test_every_module_of_the_collection_is_known_to_talk_to_a_node_or_not_to() -> None:
    places = [path / "ansible_collections/kubernetes/core/plugins/modules" for path in collection_paths()]
    modules = next(place for place in places if place.exists())
    found = {path.stem for path in modules.glob("*.py")} - {"__init__"}
    assert found == {*NODE_MODULES, *OTHER_MODULES}
