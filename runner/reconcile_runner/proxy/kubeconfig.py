"""The kubeconfig of a run: the proxy's address and the run's token.

It has the token twice. Clients in Go (kubectl, helm) send no credentials to an ``http://`` address, but they do send
the user they impersonate, so the proxy accepts the token there, too. TLS on loopback would cost each module a
handshake. A token in the address, as upstream's, would have each run discover the API again.
"""

from __future__ import annotations

import json

CONTEXT_NAME = "run"


def render(server: str, token: str, namespace: str) -> str:
    """Return a kubeconfig as JSON, which is YAML.

    ``namespace`` is the object's and becomes the context's default, as upstream's; empty for cluster-scoped objects.
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
