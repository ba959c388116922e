from __future__ import annotations

from pathlib import Path

import pytest

from reconcile_runner.content.unknowns import Place
from reconcile_runner.rbac.rules import rules_of
from reconcile_runner.rbac.templatelookups import lookups
from tests.unit.rbac.roles import Rights, Workplace, rights_of

TEXTS: list[tuple[str, Rights]] = [
    ("lookup('kubernetes.core.k8s', kind='Pod', resource_name=name)", {"pods": {"get"}}),
    ("lookup('kubernetes.core.k8s', kind='Pod', resource_name='a')", {"pods[a]": {"get"}}),
    ('query("k8s", kind="Deployment", api_version="apps/v1")', {"deployments.apps": {"list"}}),
    ("q('community.kubernetes.k8s', kind='Pod', namespace=ns, label_selector='a=b')", {"pods": {"list"}}),
    (
        "lookup('k8s', kind='Pod', resource_name=f(x), namespace=g(y)) ~ lookup('k8s', kind='Node')",
        {"pods": {"get"}, "nodes": {"list"}},
    ),
    ("lookup('kubernetes.core.k8s', cluster_info='version')", {}),
    ("# lookup('k8s', kind='Pod')", {}),
    ("lookup('file', 'k8s')", {}),
]


@pytest.mark.parametrize(("text", "rights"), TEXTS, ids=[text for text, _ in TEXTS])
def test_a_lookup_needs_the_right_to_read(workplace: Workplace, text: str, rights: Rights) -> None:
    found = lookups(text, Place(Path("/a.yml")), workplace.kinds(), workplace.unknowns)
    assert rights_of(rules_of(use.need for use in found)) == rights
    assert workplace.unknowns.lines == []


@pytest.mark.parametrize("text", ["lookup('k8s', kind=k)", "lookup('k8s', kind='Pod', api_version=v)", "query('k8s')"])
def test_a_kind_that_is_not_in_quotes_is_reported(workplace: Workplace, text: str) -> None:
    assert list(lookups(text, Place(Path("/a.yml")), workplace.kinds(), workplace.unknowns)) == []
    [line] = workplace.unknowns.lines
    assert line.startswith(f"/a.yml: found {text}, expected a kind in quotes")
