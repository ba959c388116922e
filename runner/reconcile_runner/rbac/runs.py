"""The rights that runs have used, as the operator's metrics tell them."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.parser import text_string_to_metric_families

from reconcile_runner.content.unknowns import Unknowns
from reconcile_runner.errors import ConfigError
from reconcile_runner.metrics import RIGHTS_USED, RequestScope
from reconcile_runner.rbac.rules import Need

_EXPECTED = f"the operator's metrics, with {RIGHTS_USED.name}"


def needs_of_runs(exposition: str, unknowns: Unknowns) -> list[Need]:
    """Return what runs have used, from metrics in Prometheus' text format.

    Raises ``ConfigError`` where there is nothing of it in the text.
    """
    found: list[Need] = []
    for labels in _counted(exposition):
        scope = labels.get("scope", "")
        if not labels.get("verb"):
            unknowns.add(None, "runs asked for more than the metrics can hold; some of it is not among the rules")
            continue
        group, resource = labels.get("group", ""), labels.get("resource", "")
        if scope == RequestScope.OTHER:
            unknowns.add(
                None,
                f"runs used {labels['verb']} on {named(group, resource)} outside the namespace of their object; a Role "
                "is needed there, too",
            )
        found.append(Need(group, resource, frozenset({labels["verb"]}), is_cluster_wide=scope == RequestScope.CLUSTER))
    if not found:
        raise ConfigError(f"--from-runs: found no request of a run, expected {_EXPECTED}")
    return found


def difference(told: list[Need], used: list[Need]) -> Iterator[str]:
    """Yield what only one of the two has, one sentence each: what files tell, and what runs have used."""
    in_files, in_runs = _single(told), _single(used)
    for group, resource, verb in sorted(in_runs - in_files):
        yield f"only runs tell of {verb} on {named(group, resource)}"
    for group, resource, verb in sorted(in_files - in_runs):
        yield f"no run has used {verb} on {named(group, resource)} so far"


def named(group: str, resource: str) -> str:
    """Return a resource as ``kubectl`` names it: ``deployments.apps/scale``."""
    plural, slash, subresource = resource.partition("/")
    return f"{plural}.{group}{slash}{subresource}" if group else resource


def _counted(exposition: str) -> Iterator[dict[str, str]]:
    try:
        for family in text_string_to_metric_families(exposition):
            for sample in family.samples:
                if sample.name == RIGHTS_USED.name:
                    yield sample.labels
    except ValueError as error:
        raise ConfigError(f"--from-runs: found text that cannot be read ({error}), expected {_EXPECTED}") from error


def _single(needs: list[Need]) -> set[tuple[str, str, str]]:
    return {(need.group, need.resource, verb) for need in needs for verb in need.verbs}
