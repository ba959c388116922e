"""A token for each run, void when the run has ended."""

from __future__ import annotations

import pytest

from reconcile_runner.apimachinery.objects import GroupVersionKind, ObjectKey
from reconcile_runner.proxy import Owner, TokenRegistry

OWNER = Owner(GroupVersionKind("g", "v1", "K"), ObjectKey("n", "a"), "u")


def test_a_token_names_its_owner_until_its_block_ends() -> None:
    tokens = TokenRegistry()
    with tokens.issue(OWNER) as token:
        assert (run := tokens.run_of(token)) is not None
        assert run.owner == OWNER
    assert tokens.run_of(token) is None


def test_a_run_that_ends_badly_voids_its_token_too() -> None:
    tokens = TokenRegistry()
    with pytest.raises(RuntimeError), tokens.issue(OWNER) as token:
        raise RuntimeError
    assert tokens.run_of(token) is None


def test_no_two_runs_share_a_token() -> None:
    tokens = TokenRegistry()
    with tokens.issue(OWNER) as first, tokens.issue(OWNER) as second:
        assert first != second
        assert len(first) >= 43, "256 bits"


def test_guesses_are_nobodys() -> None:
    tokens = TokenRegistry()
    with tokens.issue(OWNER) as token:
        assert [tokens.run_of(guess) for guess in ("", token[:-1], token + "x")] == [None, None, None]
