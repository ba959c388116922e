from __future__ import annotations

from pathlib import Path

import pytest

from reconcile_runner.content.unknowns import Unknowns
from tests.unit.rbac.roles import Workplace


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workplace:
    monkeypatch.chdir(tmp_path)
    return Workplace(tmp_path, Unknowns())
