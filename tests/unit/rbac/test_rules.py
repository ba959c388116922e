from __future__ import annotations

import random

from reconcile_runner.rbac.rules import Need, PolicyRule, divided_rules_of, rules_of


def need(resource: str, *verbs: str, name: str = "", group: str = "", is_cluster_wide: bool = False) -> Need:
    return Need(group, resource, frozenset(verbs), name, is_cluster_wide)


def rule(resources: str, verbs: str, names: str = "", group: str = "") -> PolicyRule:
    return PolicyRule(group, tuple(resources.split()), tuple(names.split()), tuple(verbs.split()))


def test_verbs_of_one_resource_become_one_rule_and_resources_with_the_same_verbs_another() -> None:
    needs = [need("pods", "watch"), need("services", "get"), need("pods", "list"), need("configmaps", "get")]
    assert rules_of(needs) == (rule("configmaps services", "get"), rule("pods", "list watch"))


def test_the_same_needs_in_any_order_make_the_same_rules() -> None:
    needs = [need(plural, verb, name=name) for plural in "abc" for verb in ("get", "list") for name in ("", "x", "y")]
    shuffled = random.Random(1).sample(needs, len(needs))  # noqa: S311 no secret
    assert rules_of(shuffled) == rules_of(needs)


def test_groups_are_never_mixed() -> None:
    needs = [need("events", "create"), need("events", "create", group="events.k8s.io")]
    assert rules_of(needs) == (rule("events", "create"), rule("events", "create", group="events.k8s.io"))


def test_single_names_stay_single_and_share_a_rule() -> None:
    needs = [need("secrets", "get", name="b"), need("secrets", "get", name="a"), need("secrets", "create")]
    assert rules_of(needs) == (rule("secrets", "create"), rule("secrets", "get", "a b"))


def test_what_may_be_done_to_all_is_not_said_again_for_one() -> None:
    needs = [need("secrets", "get", "patch", name="a"), need("secrets", "get", "list")]
    assert rules_of(needs) == (rule("secrets", "get list"), rule("secrets", "patch", "a"))


def test_what_a_role_of_a_namespace_cannot_give_is_a_rule_of_the_cluster() -> None:
    needs = [
        need("pods", "get", "list"),
        need("pods", "list", is_cluster_wide=True),
        need("nodes", "get", is_cluster_wide=True),
    ]
    rules = divided_rules_of(needs)
    assert rules.of_namespace == (rule("pods", "get"),)
    assert rules.of_cluster == (rule("nodes", "get"), rule("pods", "list"))


def test_a_role_of_the_cluster_gives_both() -> None:
    needs = [need("pods", "get"), need("pods", "list", is_cluster_wide=True)]
    assert rules_of(needs) == (rule("pods", "get list"),)
