"""Makes the project's collection importable under the name that Ansible gives it."""

import sys
from collections.abc import Iterator

import pytest

from tests.support.paths import REPOSITORY

COLLECTIONS = REPOSITORY / "collections"


@pytest.fixture(autouse=True)
def _collections_on_path(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(COLLECTIONS))
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "ansible_collections"]:
        del sys.modules[name]
