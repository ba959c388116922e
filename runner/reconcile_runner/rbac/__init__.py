"""The least rights that watches need, read from them and from what they run.

``needs_of_watches`` -> ``rules_of`` -> ``role_of`` -> ``manifest_text``. The way of a watch: ``needs`` ->
``tasks`` (walks roles and playbooks; ``filesearch`` finds their files, ``variables`` resolves their variables) ->
``modules`` (what a task asks of the API server; ``definitions`` finds its objects) -> ``kinds`` -> ``rules`` ->
``manifest``. Nothing is run and nothing rendered. For people: docs/reference/rbac.md.
"""

from reconcile_runner.rbac.kinds import KindTable, resources_of_crds
from reconcile_runner.rbac.manifest import manifest_text, role_of
from reconcile_runner.rbac.needs import needs_of_election, needs_of_watches
from reconcile_runner.rbac.rules import Need, divided_rules_of, rules_of
from reconcile_runner.rbac.unknowns import Unknowns

__all__ = [
    "KindTable",
    "Need",
    "Unknowns",
    "divided_rules_of",
    "manifest_text",
    "needs_of_election",
    "needs_of_watches",
    "resources_of_crds",
    "role_of",
    "rules_of",
]
