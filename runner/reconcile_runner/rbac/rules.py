"""From single needs to the rules of a role, merged and sorted.

The same needs give the same rules, in any order.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Need:
    """Verbs on a resource.

    ``resource`` may have a subresource (``pods/exec``); ``group`` is empty for the core group.

    ``name``: the one object that is meant; empty: any. ``is_cluster_wide``: in all namespaces, or of a resource without
    namespace, so that the role of a namespace does not do.
    """

    group: str
    resource: str
    verbs: frozenset[str]
    name: str = ""
    is_cluster_wide: bool = False


@dataclass(frozen=True, slots=True, order=True)
class PolicyRule:
    """A rule of a role, as Kubernetes has it; each field is sorted.

    ``names`` empty: all objects.
    """

    group: str
    resources: tuple[str, ...]
    names: tuple[str, ...]
    verbs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rules:
    """What a role of a namespace can give, and what only a ClusterRole can."""

    of_namespace: tuple[PolicyRule, ...]
    of_cluster: tuple[PolicyRule, ...]


def rules_of(needs: Iterable[Need]) -> tuple[PolicyRule, ...]:
    """Return the fewest rules that give what is needed in all namespaces, and no more."""
    return _rules(_merged(replace(need, is_cluster_wide=True) for need in needs))


def divided_rules_of(needs: Iterable[Need]) -> Rules:
    """Return the rules for an operator that works in single namespaces."""
    merged = _merged(needs)
    cluster_wide = {need for need in merged if need.is_cluster_wide}
    return Rules(_rules(merged - cluster_wide), _rules(cluster_wide))


def _merged(needs: Iterable[Need]) -> set[Need]:
    """Return one need for each resource and name.

    Verbs that a wider need gives are left out.
    """
    verbs: dict[Need, frozenset[str]] = {}
    for need in needs:
        target = replace(need, verbs=frozenset())
        verbs[target] = verbs.get(target, frozenset()) | need.verbs
    left = {target: found.difference(*_given_by_wider(target, verbs)) for target, found in verbs.items()}
    return {replace(target, verbs=found) for target, found in left.items() if found}


def _given_by_wider(target: Need, verbs: dict[Need, frozenset[str]]) -> list[frozenset[str]]:
    wider = {replace(target, name=name, is_cluster_wide=True) for name in (target.name, "")} | {
        replace(target, name="")
    }
    return [verbs[one] for one in wider - {target} if one in verbs]


def _rules(needs: set[Need]) -> tuple[PolicyRule, ...]:
    """Merge the names of one resource, then resources with the same verbs and names."""
    names: dict[tuple[str, str, frozenset[str], bool], set[str]] = {}
    for need in needs:
        names.setdefault((need.group, need.resource, need.verbs, bool(need.name)), set()).add(need.name)
    resources: dict[tuple[str, frozenset[str], tuple[str, ...]], set[str]] = {}
    for (group, resource, verbs, is_named), of in names.items():
        resources.setdefault((group, verbs, tuple(sorted(of)) if is_named else ()), set()).add(resource)
    return tuple(
        sorted(
            PolicyRule(group, tuple(sorted(of)), of_names, tuple(sorted(verbs)))
            for (group, verbs, of_names), of in resources.items()
        )
    )
