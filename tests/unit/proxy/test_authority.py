"""With whose rights a request is served, read from headers; the ways through the proxy are in tests/integration."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from multidict import CIMultiDict

from reconcile_runner.errors import ApiError
from reconcile_runner.proxy import TokenRegistry
from reconcile_runner.proxy.authority import Authority, read_authority
from tests.unit.proxy.bench import OWNER


class Run:
    """A registry with one run."""

    def __init__(self, tokens: TokenRegistry, token: str) -> None:
        self.tokens = tokens
        self.token = token

    def asks(self, *headers: tuple[str, str]) -> Authority:
        return read_authority(
            CIMultiDict((name, value.format(token=self.token)) for name, value in headers), self.tokens
        )

    def refusal(self, *headers: tuple[str, str]) -> tuple[int, str]:
        with pytest.raises(ApiError) as error:
            self.asks(*headers)
        return error.value.status, str(error.value)


@pytest.fixture
def run() -> Iterator[Run]:
    tokens = TokenRegistry()
    with tokens.issue(OWNER) as token:
        yield Run(tokens, token)


BEARER = ("Authorization", "Bearer {token}")
AS_TOKEN = ("Impersonate-User", "{token}")
JACK = ("Impersonate-User", "jack")
READERS = ("Impersonate-Group", "readers")


@pytest.mark.parametrize(
    "headers", [(BEARER,), (AS_TOKEN,), (BEARER, AS_TOKEN), (("authorization", "bearer  {token}"),)]
)
def test_the_token_alone_has_the_operators_rights(run: Run, headers: tuple[tuple[str, str], ...]) -> None:
    authority = run.asks(*headers)
    assert authority.is_operators
    assert (authority.run.token, authority.impersonation) == (run.token, ())


def test_whom_a_run_impersonates_is_kept_as_it_was_sent(run: Run) -> None:
    sent = (JACK, READERS, ("Impersonate-Group", "writers"), ("impersonate-extra-a%2fb", ""), ("Impersonate-Uid", "7"))
    authority = run.asks(BEARER, *sent, ("Accept", "*/*"))
    assert not authority.is_operators
    assert authority.impersonation == sent


def test_what_stands_beside_the_token_of_a_client_in_go_is_for_the_api_server(run: Run) -> None:
    assert run.asks(AS_TOKEN, READERS).impersonation == (READERS,)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (("Authorization", "Bearer {token}"), "Authorization is given 2 times"),
        (("impersonate-user", "jack"), "Impersonate-User is given 2 times"),
        (("IMPERSONATE-USER", "{token}"), "Impersonate-User is given 2 times"),
        (("Impersonate-Uid", ""), "Impersonate-Uid is empty"),
        (("Impersonate-Groups", "readers"), "Impersonate-Groups is no header of Kubernetes"),
    ],
)
def test_what_the_api_server_would_overlook_is_refused(run: Run, header: tuple[str, str], message: str) -> None:
    assert run.refusal(BEARER, JACK, header) == (400, f"the request does not say with whose rights: {message}")


@pytest.mark.parametrize(
    "headers", [(), (JACK,), (("Authorization", ""), AS_TOKEN), (("Authorization", "Basic {token}"),), (READERS,)]
)
def test_without_a_runs_token_nobody_is_served(run: Run, headers: tuple[tuple[str, str], ...]) -> None:
    assert run.refusal(*headers)[0] == 401
