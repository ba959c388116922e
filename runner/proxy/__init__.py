"""The API proxy: what stands between a run and the API server.

``tokens`` issues a credential for each run, ``kubeconfig`` writes it down for the role's modules, ``server`` accepts it
and passes requests on with the operator's own credentials, which no run ever holds.
"""

from runner.proxy.server import Proxy
from runner.proxy.tokens import Owner, TokenRegistry

__all__ = ["Owner", "Proxy", "TokenRegistry"]
