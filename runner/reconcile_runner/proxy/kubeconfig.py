"""The kubeconfig of a run: the proxy's address and the run's token, nothing of the operator's own.

The token stands there twice. Clients in Go (kubectl, helm) send no credentials to an ``http://`` address, but they do
send whom they impersonate, so that the proxy takes that for the token, too. TLS on the loopback interface would cost
each module a handshake; a token in the address, as upstream's, would make every run discover the API again.
"""

from __future__ import annotations

import json

CONTEXT_NAME = "run"


def render(server: str, token: str, namespace: str) -> str:
    """Return a kubeconfig's text. JSON is YAML, and needs no quoting rules of our own.

    ``namespace`` is the object's, and the context's default, as upstream's; empty for cluster-scoped objects.
    """
    context = {"cluster": CONTEXT_NAME, "user": CONTEXT_NAME}
    if namespace:
        context["namespace"] = namespace
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": CONTEXT_NAME, "cluster": {"server": server}}],
            "users": [{"name": CONTEXT_NAME, "user": {"token": token, "as": token}}],
            "contexts": [{"name": CONTEXT_NAME, "context": context}],
            "current-context": CONTEXT_NAME,
        },
        indent=1,
    )
