"""The API proxy, to which a run's modules talk instead of the API server.

A run has a token of its own, which ends with it; the operator's credentials are added here, and no run holds them. What
a run creates gets an owner, and reads are answered from the cache where that is exact: docs/reference/proxy.md.
"""

from reconcile_runner.apimachinery.owners import Owner
from reconcile_runner.proxy.server import Proxy
from reconcile_runner.proxy.tokens import TokenRegistry

__all__ = ["Owner", "Proxy", "TokenRegistry"]
