from __future__ import annotations

import yaml

from reconcile_runner.rbac.manifest import manifest_text, role_of
from reconcile_runner.rbac.rules import PolicyRule

RULES = (
    PolicyRule("", ("events",), (), ("create", "patch")),
    PolicyRule("", ("secrets",), ("one",), ("get",)),
)


def test_a_manifest_reads_as_kubebuilders_do() -> None:
    assert manifest_text("Said first.", [role_of("manager-role", RULES)]) == (
        "# Said first.\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata:\n"
        "  name: manager-role\nrules:\n"
        '  - apiGroups:\n      - ""\n    resources:\n      - events\n    verbs:\n      - create\n      - patch\n'
        '  - apiGroups:\n      - ""\n    resources:\n      - secrets\n    resourceNames:\n      - one\n'
        "    verbs:\n      - get\n"
    )


def test_a_role_of_a_namespace_says_which() -> None:
    [one, two] = yaml.safe_load_all(manifest_text("", [role_of("a", RULES, "team"), role_of("a", RULES)]))
    assert (one["kind"], one["metadata"]) == ("Role", {"name": "a", "namespace": "team"})
    assert (two["kind"], two["metadata"]) == ("ClusterRole", {"name": "a"})
