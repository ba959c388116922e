"""The least rights that watches need, read from them and from what they run.

``needs_of_watches`` -> ``rules_of`` -> ``role_of`` -> ``manifest_text``. The way of a watch: ``needs`` ->
``content`` (walks through the tasks of roles and playbooks) -> ``modules`` (what a task asks of the API server;
``definitions`` finds its objects) -> ``kinds`` -> ``rules`` -> ``manifest``. ``runs`` reads what runs have used, in
place of files. Nothing is run and nothing rendered. For people: docs/reference/rbac.md.
"""

from reconcile_runner.content.unknowns import Unknowns
from reconcile_runner.rbac.kinds import KindTable, resources_of_crds
from reconcile_runner.rbac.manifest import manifest_text, role_of
from reconcile_runner.rbac.needs import needs_of_election, needs_of_watches, needs_with_runs
from reconcile_runner.rbac.rules import Need, divided_rules_of, rules_of
from reconcile_runner.rbac.runs import difference, needs_of_runs

__all__ = [
    "KindTable",
    "Need",
    "Unknowns",
    "difference",
    "divided_rules_of",
    "manifest_text",
    "needs_of_election",
    "needs_of_runs",
    "needs_of_watches",
    "needs_with_runs",
    "resources_of_crds",
    "role_of",
    "rules_of",
]
