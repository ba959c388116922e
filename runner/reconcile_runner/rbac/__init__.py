"""``reconcile-runner rbac``: the least rights that watches need, read from the watches and from what they run.

``cli`` calls ``needs_of_watches`` and prints ``role`` of ``rules_of`` what it gets. The way of a watch: ``needs`` ->
``tasks`` (walks roles and playbooks; ``places`` finds their files, ``variables`` what their variables say) ->
``modules`` (what a task asks of the API server; ``definitions`` finds its objects) -> ``kinds`` -> ``rules`` ->
``manifest``. Nothing is run and nothing rendered. For people: docs/reference/rbac.md.
"""

from reconcile_runner.rbac.findings import Report
from reconcile_runner.rbac.kinds import Kinds, resources_of_crds
from reconcile_runner.rbac.manifest import role, text
from reconcile_runner.rbac.needs import needs_of_election, needs_of_watches
from reconcile_runner.rbac.rules import Need, divided_rules_of, rules_of

__all__ = [
    "Kinds",
    "Need",
    "Report",
    "divided_rules_of",
    "needs_of_election",
    "needs_of_watches",
    "resources_of_crds",
    "role",
    "rules_of",
    "text",
]
