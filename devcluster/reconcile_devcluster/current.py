"""The user's own cluster, used by `make run CLUSTER=current` alone, and only after the user has said yes.

The one place of devcluster that reads `KUBECONFIG`. Uses the `kubernetes` package, which knows every way to log in.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reconcile_devcluster.api import JSON, KubeObject
from reconcile_devcluster.errors import ApiRequestError, DevclusterError


@dataclass(frozen=True, slots=True)
class UserCluster:
    """A cluster the user has named on purpose; implements `api.Api`.

    Attributes:
        context: Name of the kubeconfig's current context.
        server: Address of the API server.
        client: `kubernetes.client.ApiClient` for it (an untyped package).

    """

    context: str
    server: str
    client: Any

    def call(self, method: str, path: str, body: KubeObject | None = None, content_type: str = JSON) -> KubeObject:
        """See `ApiServer.call`."""
        from kubernetes.client.exceptions import ApiException  # noqa: PLC0415 - half a second, for this mode only
        from urllib3.exceptions import HTTPError  # noqa: PLC0415

        headers = {"Accept": JSON, "Content-Type": content_type}
        request = self.client.param_serialize(
            method, path, header_params=headers, body=body, auth_settings=["BearerToken"]
        )
        try:
            answer = self.client.call_api(*request)
            content = answer.read()
        except (HTTPError, OSError, ApiException) as error:
            raise DevclusterError(f"{method} {path}: no answer from {self.server}: {error}") from error
        if not http_ok(answer.status):
            raise ApiRequestError(f"{method} {path}: status {answer.status}: {content[:200]!r}", answer.status)
        decoded: KubeObject = json.loads(content)
        return decoded


def http_ok(status: int) -> bool:
    """Whether an HTTP status is a success."""
    return 200 <= status < 300  # noqa: PLR2004 - the class of success codes


def environment() -> dict[str, str]:
    """Return our environment, with `KUBECONFIG` set even where the default file is meant."""
    return {"KUBECONFIG": str(Path.home() / ".kube" / "config")} | dict(os.environ)


def choose() -> UserCluster:
    """Show the current context and its server, and ask whether to use it.

    Raises:
        DevclusterError: There is no usable kubeconfig, nobody is there to ask, or the answer was not yes.

    """
    from kubernetes import config  # noqa: PLC0415 - half a second, for this mode only

    try:
        _, current = config.list_kube_config_contexts()
        client = config.new_client_from_config(context=current["name"])
    except (config.ConfigException, OSError) as error:
        raise DevclusterError(f"CLUSTER=current: no usable kubeconfig: {error}") from error
    chosen = UserCluster(context=str(current["name"]), server=str(client.configuration.host), client=client)
    _ask(chosen)
    return chosen


def _ask(chosen: UserCluster) -> None:
    where = f"context {chosen.context}, server {chosen.server}"
    if not sys.stdin.isatty():
        raise DevclusterError(f"CLUSTER=current ({where}): stdin is not a terminal, so nobody can confirm it")
    print(f"The operator and its CRDs would be put into your own cluster: {where}", file=sys.stderr)
    print("Go on? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise DevclusterError("CLUSTER=current: not confirmed, nothing was changed")
