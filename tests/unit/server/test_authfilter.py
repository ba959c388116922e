"""Who may read the metrics, as the API server says: asked seldom, and never taken for granted."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

import pytest
from structlog.testing import capture_logs

from reconcile_runner.apimachinery.objects import KubeObject
from reconcile_runner.errors import ApiError, ApiUnreachableError, ForbiddenError
from reconcile_runner.server.authfilter import (
    ALLOWED_TTL,
    AUTHENTICATED_TTL,
    DENIED_TTL,
    MAX_REMEMBERED_ANSWERS,
    AuthenticationAndAuthorization,
)
from tests.support.fakes.client import FakeClient
from tests.support.fakes.clock import FakeClock

TOKENS = "/apis/authentication.k8s.io/v1/tokenreviews"
ACCESS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
PROMETHEUS = {
    "username": "system:serviceaccount:monitoring:prometheus",
    "uid": "u-1",
    "groups": ["system:serviceaccounts", "system:authenticated"],
    "extra": {"authentication.kubernetes.io/pod-name": ["prometheus-0"]},
}


class Cluster(FakeClient):
    """An API server that knows these tokens, and lets these users get /metrics."""

    def __init__(self) -> None:
        super().__init__()
        self.users: dict[str, KubeObject] = {"good": PROMETHEUS, "other": {"username": "somebody"}}
        self.may = {PROMETHEUS["username"]}
        self.on_create(TOKENS, self._whose)
        self.on_create(ACCESS, self._whether)

    def _whose(self, review: KubeObject) -> KubeObject:
        user = self.users.get(review["spec"]["token"])
        status = {"authenticated": True, "user": user} if user else {"error": "token is expired"}
        return {**review, "status": status}

    def _whether(self, review: KubeObject) -> KubeObject:
        asked = review["spec"]["nonResourceAttributes"]
        allowed = review["spec"]["user"] in self.may and asked == {"path": "/metrics", "verb": "get"}
        return {**review, "status": {"allowed": allowed}}

    def count(self) -> tuple[int, int]:
        """Return how many reviews there were of tokens, and of access."""
        return len(self.calls_of("POST", TOKENS)), len(self.calls_of("POST", ACCESS))


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def access(cluster: Cluster, clock: FakeClock) -> AuthenticationAndAuthorization:
    return AuthenticationAndAuthorization(cluster, clock)


async def ask(access: AuthenticationAndAuthorization, who: str = "good", verb: str = "get") -> int:
    refusal = await access.refusal(f"Bearer {who}", verb, "/metrics")
    return refusal.status if refusal else HTTPStatus.OK


async def test_who_has_a_token_and_the_right_may_pass(cluster: Cluster, access: AuthenticationAndAuthorization) -> None:
    assert await ask(access) == 200
    (token,), (right,) = cluster.calls_of("POST", TOKENS), cluster.calls_of("POST", ACCESS)
    assert token.body == {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": "good"}}
    assert right.body == {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": PROMETHEUS["username"],
            "uid": PROMETHEUS["uid"],
            "groups": PROMETHEUS["groups"],
            "extra": PROMETHEUS["extra"],
            "nonResourceAttributes": {"path": "/metrics", "verb": "get"},
        },
    }


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", "Basic Z29vZA==", "good", "Bearer good more", "Bearer g\udce4", "Bearer gö"],
    ids=["none", "no token", "blank", "another scheme", "no scheme", "two", "not text", "not ASCII"],
)
async def test_without_a_token_nobody_is_asked(
    authorization: str, cluster: Cluster, access: AuthenticationAndAuthorization
) -> None:
    refusal = await access.refusal(authorization, "get", "/metrics")
    assert refusal is not None
    assert (refusal.status, cluster.count()) == (401, (0, 0))


async def test_the_scheme_is_read_in_any_case(access: AuthenticationAndAuthorization) -> None:
    assert await access.refusal("bearer  good", "get", "/metrics") is None


@pytest.mark.parametrize(
    "status",
    [{}, {"authenticated": False, "user": PROMETHEUS}, {"authenticated": True}, {"authenticated": True, "user": {}}],
    ids=["nothing", "refused", "no user", "a user without a name"],
)
async def test_a_token_that_is_nobodys_is_401(
    status: KubeObject, cluster: Cluster, access: AuthenticationAndAuthorization
) -> None:
    cluster.on_create(TOKENS, lambda review: {**review, "status": status})
    assert await ask(access) == 401
    assert cluster.count() == (1, 0)


@pytest.mark.parametrize(
    "status",
    [{}, {"allowed": False}, {"allowed": True, "denied": True}, {"allowed": "true"}],
    ids=["nothing", "no right", "denied", "not a boolean"],
)
async def test_without_the_right_it_is_403(
    status: KubeObject, cluster: Cluster, access: AuthenticationAndAuthorization
) -> None:
    cluster.on_create(ACCESS, lambda review: {**review, "status": status})
    assert await ask(access) == 403


async def test_each_verb_is_a_right_of_its_own(access: AuthenticationAndAuthorization) -> None:
    assert (await ask(access), await ask(access, verb="head")) == (200, 403)


async def test_answers_are_remembered_for_as_long_as_controller_runtime_does(
    cluster: Cluster, clock: FakeClock, access: AuthenticationAndAuthorization
) -> None:
    async def asked_after(seconds: float, token: str) -> tuple[int, int]:
        await clock.advance(seconds)
        before = cluster.count()
        await ask(access, token)
        after = cluster.count()
        return after[0] - before[0], after[1] - before[1]

    assert await asked_after(0, "good") == (1, 1)
    assert await asked_after(AUTHENTICATED_TTL - 1, "good") == (0, 0)
    assert await asked_after(1, "good") == (1, 0)
    assert await asked_after(ALLOWED_TTL - AUTHENTICATED_TTL, "good") == (1, 1)
    assert await asked_after(0, "other") == (1, 1)
    assert await asked_after(DENIED_TTL - 1, "other") == (0, 0)
    assert await asked_after(1, "other") == (0, 1)
    assert await asked_after(0, "nobody") == (1, 0)
    assert await asked_after(AUTHENTICATED_TTL - 1, "nobody") == (0, 0)
    assert await asked_after(1, "nobody") == (1, 0)


async def test_of_many_requests_at_once_one_asks(cluster: Cluster, access: AuthenticationAndAuthorization) -> None:
    assert await asyncio.gather(*(ask(access) for _ in range(20))) == [200] * 20
    assert cluster.count() == (1, 1)


async def test_what_is_known_does_not_wait_for_what_is_asked(
    cluster: Cluster, access: AuthenticationAndAuthorization
) -> None:
    assert await ask(access) == 200
    flood = [asyncio.create_task(ask(access, f"token-{number}"), name="flood") for number in range(100)]
    await asyncio.sleep(0)
    assert await ask(access) == 200
    assert not any(task.done() for task in flood[10:])
    await asyncio.gather(*flood)


async def test_memory_is_bounded_and_the_least_recently_used_answer_is_forgotten(
    cluster: Cluster, access: AuthenticationAndAuthorization
) -> None:
    for number in range(MAX_REMEMBERED_ANSWERS):
        await ask(access, f"token-{number}")
    assert cluster.count()[0] == MAX_REMEMBERED_ANSWERS
    await ask(access)
    await ask(access, "token-1")
    assert cluster.count()[0] == MAX_REMEMBERED_ANSWERS + 1
    await ask(access, "token-0")
    assert cluster.count()[0] == MAX_REMEMBERED_ANSWERS + 2


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ApiUnreachableError("https://api gave no answer: Connection refused"), 503),
        (ForbiddenError(403, "Forbidden", "cannot create resource tokenreviews"), 500),
        (ApiError(429, "TooManyRequests", "slow down"), 500),
    ],
    ids=["away", "the operator lacks the right", "too many"],
)
@pytest.mark.parametrize("path", [TOKENS, ACCESS], ids=["token", "access"])
async def test_where_the_api_server_cannot_be_asked_nobody_passes_and_the_log_says_why_once(
    path: str, error: Exception, status: int, cluster: Cluster, access: AuthenticationAndAuthorization
) -> None:
    cluster.fail("POST", path, error, times=2)
    with capture_logs() as lines:
        assert (await ask(access), await ask(access)) == (status, status)
        assert await ask(access) == 200
    assert [(line["log_level"], line["event"], line.get("error")) for line in lines] == [
        ("error", "cannot check access to metrics", str(error)),
        ("info", "access to metrics can be checked again", None),
    ]


async def test_an_api_server_that_does_not_answer_in_time_is_away(cluster: Cluster, clock: FakeClock) -> None:
    access = AuthenticationAndAuthorization(Silent(), clock, timeout=0.01)
    with capture_logs() as lines:
        assert await ask(access) == 503
    assert [line["error"] for line in lines] == ["no answer in 0.01 s"]


class Silent(FakeClient):
    async def create(self, path: str, body: KubeObject, *, params: object = None) -> KubeObject:
        await asyncio.Event().wait()
        raise AssertionError


async def test_tokens_are_not_kept(access: AuthenticationAndAuthorization) -> None:
    await ask(access, "secret-token")
    assert "secret-token" not in repr(access._users._known)
