"""The cluster under test, a devcluster's node or any other, and the images that its nodes have."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from devcluster.api import ApiServer
from tests.e2e.kubectl import Kubectl
from tests.integration.operator_process import Kube

OPERATOR_IMAGE = "localhost/foo-operator:dev"
PAUSE_IMAGE = "registry.k8s.io/pause:3.10.1"


@dataclass(frozen=True)
class Target:
    """A cluster. ``own``: it was made for these tests, and goes with them."""

    kubectl: Kubectl
    own: bool
    image: str = OPERATOR_IMAGE
    pause_image: str = PAUSE_IMAGE

    @property
    def api(self) -> ApiServer:
        return ApiServer.from_kubeconfig(self.kubectl.kubeconfig)


@contextmanager
def temporary_namespace(kube: Kube, name: str) -> Iterator[str]:
    """Yield a namespace of this name and something random, which goes after the block with all that is in it."""
    unique = f"{name}-{secrets.token_hex(3)}"
    kube.create_namespace(unique)
    try:
        yield unique
    finally:
        kube.api.call("DELETE", f"/api/v1/namespaces/{unique}")


def flat_kubeconfig(kubectl: Kubectl, directory: Path) -> Path:
    """Write the current context of a kubeconfig alone, with its certificates inside, as `ApiServer` reads it."""
    path = directory / "kubeconfig"
    path.touch(0o600)
    path.write_text(kubectl.run("config", "view", "--raw", "--flatten", "--minify"))
    return path
