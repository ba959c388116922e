"""What a run inherits: nothing that leads it to another API server, loopback never by an HTTP proxy, a locale."""

from __future__ import annotations

import pytest

from reconcile_runner.execution import inherited
from reconcile_runner.execution.inherited import environment_of_runs, withheld

LOOPBACK = "127.0.0.1,localhost,::1"


@pytest.fixture(autouse=True)
def usable_locale(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the machine's locale, which is not what is tested."""
    monkeypatch.setattr(inherited, "unusable_locale", lambda: "")


def test_everything_else_is_inherited() -> None:
    environ = {"PATH": "/bin", "ANSIBLE_GATHERING": "explicit", "KUBERNETES_SERVICE_HOST": "10.0.0.1", "NO_PROXY": "a"}
    assert environment_of_runs(environ) == environ
    assert withheld(environ) == []


def test_what_names_another_api_server_is_withheld() -> None:
    elsewhere = {"HELM_KUBETOKEN": "t", "K8S_AUTH_HOST": "https://a", "K8S_AUTH_VERIFY_SSL": "no"}
    assert environment_of_runs({**elsewhere, "HELM_CACHE_HOME": "/c"}) == {"HELM_CACHE_HOME": "/c"}
    assert withheld({**elsewhere, "HELM_CACHE_HOME": "/c"}) == sorted(elsewhere)


@pytest.mark.parametrize("proxy", ["HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize(
    ("given", "upper", "lower"),
    [
        pytest.param({}, LOOPBACK, LOOPBACK, id="none"),
        pytest.param({"NO_PROXY": "a, b"}, f"a,b,{LOOPBACK}", f"a,b,{LOOPBACK}", id="upper alone"),
        pytest.param({"no_proxy": ".svc"}, f".svc,{LOOPBACK}", f".svc,{LOOPBACK}", id="lower alone"),
        pytest.param({"NO_PROXY": "a", "no_proxy": "b"}, f"a,{LOOPBACK}", f"b,{LOOPBACK}", id="each its own"),
        pytest.param({"NO_PROXY": "localhost"}, "localhost,127.0.0.1,::1", "localhost,127.0.0.1,::1", id="one of them"),
        pytest.param({"NO_PROXY": "*"}, "*", "*", id="all"),
    ],
)
def test_loopback_goes_by_no_http_proxy_and_the_users_exemptions_stay(
    proxy: str, given: dict[str, str], upper: str, lower: str
) -> None:
    made = environment_of_runs({proxy: "http://proxy.example:3128", **given})
    exempted = {"NO_PROXY": upper, "no_proxy": lower, "K8S_AUTH_NO_PROXY": f"*,{LOOPBACK}" if upper == "*" else upper}
    assert made == {proxy: "http://proxy.example:3128", **exempted}


def test_an_empty_proxy_is_none() -> None:
    assert environment_of_runs({"HTTP_PROXY": ""}) == {"HTTP_PROXY": ""}


def test_where_the_locale_is_unusable_runs_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inherited, "unusable_locale", lambda: "its encoding is not known")
    assert environment_of_runs({"LC_ALL": "C", "LANG": "de_DE"}) == {"LC_ALL": "C.UTF-8", "LANG": "de_DE"}
