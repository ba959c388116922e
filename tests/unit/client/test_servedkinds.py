"""The word for what is served: the same while nothing changes, another when anything does."""

from __future__ import annotations

import pytest

from reconcile_runner.client.servedkinds import ServedKinds
from reconcile_runner.errors import ApiError, ApiUnreachableError
from tests.support.fakes.client import FakeClient


@pytest.fixture
def client() -> FakeClient:
    client = FakeClient()
    client.answer("/api", {"kinds": 1})
    client.answer("/apis", {"kinds": 1})
    return client


async def test_the_word_is_the_same_while_nothing_changes(client: FakeClient) -> None:
    served = ServedKinds(client)
    first = await served.word()
    assert first
    assert await served.word() == first


@pytest.mark.parametrize("path", ["/api", "/apis"])
async def test_any_change_makes_another_word(client: FakeClient, path: str) -> None:
    served = ServedKinds(client)
    first = await served.word()
    client.answer(path, {"kinds": 2})
    second = await served.word()
    assert second
    assert second != first


@pytest.mark.parametrize("path", ["/api", "/apis"])
async def test_without_tags_there_is_no_word(client: FakeClient, path: str) -> None:
    client.answer(path)
    assert await ServedKinds(client).word() == ""


@pytest.mark.parametrize(
    "error", [ApiError(403, "Forbidden", "no"), ApiUnreachableError("away")], ids=["refused", "unreachable"]
)
async def test_a_server_that_does_not_tell_is_no_error(client: FakeClient, error: Exception) -> None:
    served = ServedKinds(client)
    first = await served.word()
    client.answer("/apis", error)
    assert await served.word() == ""
    client.answer("/apis", {"kinds": 1})
    assert await served.word() == first
