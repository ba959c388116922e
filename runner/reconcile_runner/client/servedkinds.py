"""A word for all that the API server serves, which is another one as soon as kinds come, go or change.

``jobrunner`` asks for it before each run and hands it to the engine, whose ``launcher`` lets a run have what the last
one found out about the API server's kinds only where the word is the same: CRDs may have changed meanwhile.
"""

from __future__ import annotations

import asyncio
from typing import Final

from reconcile_runner.client import ApiClient
from reconcile_runner.errors import ApiError, ApiUnreachableError

_PATHS: Final = ("/api", "/apis")
_AGGREGATED: Final = ",".join(
    f"application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList" for version in ("v2", "v2beta1")
)
"""All kinds of all groups in one answer, with an entity tag: Kubernetes 1.27 and later (KEP-3352)."""


class ServedKinds:
    """Asks the API server, which answers without a body where nothing has changed since the last time."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client
        self._tags = [""] * len(_PATHS)

    async def word(self) -> str:
        """Return the word; empty where it cannot be known: an API server that is older, or does not answer."""
        try:
            tags = await asyncio.gather(*map(self._ask, _PATHS, self._tags))
        except (ApiError, ApiUnreachableError):
            return ""
        self._tags = tags
        return " ".join(tags) if all(tags) else ""

    async def _ask(self, path: str, known: str) -> str:
        return await self._client.tag(path, accept=_AGGREGATED, known=known)
