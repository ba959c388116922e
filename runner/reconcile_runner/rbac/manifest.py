"""Rules as a manifest: a file to ship, the same for the same rules."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import yaml

from reconcile_runner.apimachinery.objects import KubeObject
from reconcile_runner.rbac.rules import PolicyRule

API_VERSION: Final = "rbac.authorization.k8s.io/v1"


class _Dumper(yaml.SafeDumper):
    """Indents lists below their key, as yamllint, and quotes as kubebuilder does."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        del indentless
        super().increase_indent(flow, indentless=False)


def _represent_text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=None if value else '"')


_Dumper.add_representer(str, _represent_text)


def role_of(name: str, rules: Iterable[PolicyRule], namespace: str = "") -> KubeObject:
    """Return a Role of ``namespace``, or a ClusterRole where that is empty."""
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    kind = "Role" if namespace else "ClusterRole"
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "rules": [_rule(rule) for rule in rules]}


def manifest_text(comment: str, roles: Sequence[KubeObject]) -> str:
    """Return the documents as text, the comment before the first one."""
    lines = "".join(f"# {line}\n" for line in comment.splitlines())
    return lines + "".join(f"---\n{yaml.dump(one, Dumper=_Dumper, sort_keys=False)}" for one in roles)


def _rule(rule: PolicyRule) -> dict[str, Any]:
    names = {"resourceNames": list(rule.names)} if rule.names else {}
    return {"apiGroups": [rule.group], "resources": list(rule.resources), **names, "verbs": list(rule.verbs)}
