"""The API proxy: what stands between a run and the API server.

``tokens`` issues a credential for each run, ``kubeconfig`` writes it down for the role's modules, ``server`` accepts it
and passes requests on with the operator's own credentials, which no run ever holds. What a run creates gets its owner
(``writes``), what is watched anyway is read from the cache (``reads``). Reference: docs/reference/proxy.md.
"""

from reconcile_runner.apimachinery.owners import Owner
from reconcile_runner.proxy.server import Proxy
from reconcile_runner.proxy.tokens import TokenRegistry

__all__ = ["Owner", "Proxy", "TokenRegistry"]
