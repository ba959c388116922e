from __future__ import annotations

import pytest

from runner import execution


@pytest.mark.parametrize("name", execution.__all__)
def test_a_public_name_can_be_imported(name: str) -> None:
    assert getattr(execution, name).__name__ == name


def test_what_is_not_there_is_said_the_usual_way() -> None:
    with pytest.raises(AttributeError, match=r"module 'runner\.execution' has no attribute 'nothing'"):
        _ = execution.nothing  # type: ignore[attr-defined]
