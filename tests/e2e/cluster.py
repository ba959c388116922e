"""The cluster under test, a devcluster's node or any other, and the images that its nodes have."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from reconcile_devcluster.api import ApiServer
from reconcile_devcluster.layout import DataDirectory
from reconcile_devcluster.node import images
from reconcile_devcluster.node.files import NodeFiles
from reconcile_devcluster.node.requirements import find_system_programs
from tests.e2e.kubectl import Kubectl
from tests.support.operator_process import REPOSITORY, Kube
from tools.image.build import RUNNER_IMAGE, default_image, derive
from tools.image.builder import find_builder

PAUSE_IMAGE = "registry.k8s.io/pause:3.10.1"


@dataclass(frozen=True)
class Target:
    """A cluster. ``own``: it was made for these tests, in ``directory``, and goes with them."""

    kubectl: Kubectl
    own: bool
    directory: Path
    image: str = field(default_factory=default_image)
    runner_image: str = RUNNER_IMAGE
    pause_image: str = PAUSE_IMAGE

    @property
    def api(self) -> ApiServer:
        return ApiServer.from_kubeconfig(self.kubectl.kubeconfig)

    def image_of_example(self, name: str) -> str:
        """Return the image of an example operator, built from its Dockerfile and given to the node.

        Nodes of another cluster must have it: a variable names it (``E2E_BLOGPOST_IMAGE``), or the test is skipped.
        """
        if not self.own:
            variable = f"E2E_{name.upper()}_IMAGE"
            if variable not in os.environ:
                pytest.skip(f"{variable} does not name an image that the nodes of this cluster have")
            return os.environ[variable]
        image = f"localhost/{name}-operator:e2e"
        derive(image, self.runner_image, REPOSITORY / "examples" / name, find_builder())
        load(self.directory, image)
        return image


def load(directory: Path, image: str) -> None:
    """Give an image of this machine's docker, podman or buildah to a devcluster's node."""
    images.load(NodeFiles(DataDirectory(directory)), find_system_programs().ctr, image)


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
