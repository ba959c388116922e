"""The rights that runs have used, read from metrics."""

from __future__ import annotations

import pytest

from reconcile_runner.errors import ConfigError
from reconcile_runner.metrics import Metrics, RequestScope, UsedRight
from reconcile_runner.rbac import Need, Unknowns, difference, needs_of_runs, needs_with_runs, rules_of
from reconcile_runner.watches.watch import Watch
from tests.unit.rbac.roles import THING, Workplace, rights_of


def exposition(*rights: UsedRight) -> str:
    """Return the metrics of an operator whose runs have used these."""
    metrics = Metrics()
    for right in rights:
        metrics.right_used(right)
    return metrics.exposition().decode()


def right(verb: str, resource: str, group: str = "", scope: RequestScope = RequestScope.OWN) -> UsedRight:
    return UsedRight(group, resource, verb, scope)


def test_what_the_metrics_count_is_a_need() -> None:
    unknowns = Unknowns()
    text = exposition(right("get", "pods"), right("list", "nodes", scope=RequestScope.CLUSTER))
    assert needs_of_runs(text, unknowns) == [
        Need("", "pods", frozenset({"get"})),
        Need("", "nodes", frozenset({"list"}), is_cluster_wide=True),
    ]
    assert unknowns.lines == []


def test_another_namespace_and_too_many_rights_are_said() -> None:
    unknowns = Unknowns()
    others = UsedRight("", "", "", RequestScope.CLUSTER)
    text = exposition(right("get", "deployments", "apps", RequestScope.OTHER), others)
    assert [need.resource for need in needs_of_runs(text, unknowns)] == ["deployments"]
    assert unknowns.lines == [
        "runs used get on deployments.apps outside the namespace of their object; a Role is needed there, too",
        "runs asked for more than the metrics can hold; some of it is not among the rules",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "found no request of a run"), (exposition(), "found no request of a run"), ("a{b 1", "cannot be read")],
    ids=["empty", "no run", "no metrics"],
)
def test_what_holds_no_request_is_an_error(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        needs_of_runs(text, Unknowns())


def test_the_operators_own_rights_are_added_and_what_runs_created_is_watched(workplace: Workplace) -> None:
    used = [
        Need("", "configmaps", frozenset({"create"})),
        Need("", "secrets", frozenset({"create"})),
        Need("", "pods/exec", frozenset({"create"})),
    ]
    needs = needs_with_runs([Watch(THING)], workplace.kinds(), used)
    assert rights_of(rules_of(needs)) == {
        "configmaps": {"create", "list", "watch"},
        "events": {"create", "patch"},
        "pods/exec": {"create"},
        "secrets": {"create"},
        "things.example.com": {"get", "list", "watch"},
        "things/status.example.com": {"patch"},
    }


def test_the_difference_says_what_only_one_of_them_has_whatever_the_names() -> None:
    told = [Need("", "pods", frozenset({"get", "delete"}), name="one")]
    used = [Need("", "pods", frozenset({"get"})), Need("apps", "deployments/scale", frozenset({"patch"}))]
    assert list(difference(told, used)) == [
        "only runs tell of patch on deployments.apps/scale",
        "no run has used delete on pods so far",
    ]
