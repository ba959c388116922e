"""What `config/` describes, as kubectl sees it, for the tests of the manifests."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from typer.testing import CliRunner

from reconcile_runner.cli import app
from tests.support.operator_process import REPOSITORY
from tools import dashboard, manifests, operatorname

if TYPE_CHECKING:
    from reconcile_devcluster.api import KubeObject

NAMESPACE = "foo-operator-system"
MANAGER = "foo-operator-controller-manager"
USER = f"system:serviceaccount:{NAMESPACE}:{MANAGER}"


@dataclass(frozen=True, slots=True)
class Kubectl:
    """A kubectl and the cluster that it talks to."""

    program: Path
    kubeconfig: Path

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run it in the checkout."""
        command = [str(self.program), f"--kubeconfig={self.kubeconfig}", *arguments]
        return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=120)

    def must(self, *arguments: str) -> str:
        """Run it, which must succeed; returns what it printed."""
        answer = self.run(*arguments)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout


def renamed_copy(directory: Path, name: str) -> Path:
    """Copy `config/` with another operator's name, as somebody who follows docs/install.md; return the copy."""
    copy = directory / "config"
    shutil.copytree(manifests.CONFIG, copy)
    shutil.copytree(REPOSITORY / "crds", directory / "crds")
    place = directory / operatorname.FILE
    place.write_text(place.read_text().replace(operatorname.read().name, name))
    operatorname.write_into_monitoring(copy / "prometheus", name)
    (copy / "prometheus" / "dashboard.json").write_text(dashboard.render(name, dashboard.documents_url()))
    lease = CliRunner().invoke(app, ["rbac", "--leader-election-id", name])
    assert lease.exit_code == 0, lease.stderr
    (copy / "rbac" / "leader_election_role.yaml").write_text(lease.stdout)
    return copy


def objects_of(kubectl: Path, name: str) -> list[KubeObject]:
    """Return the objects of a kustomization below `config/`."""
    return manifests.parse(manifests.build(kubectl, manifests.CONFIG / name))


def of_kind(objects: list[KubeObject], *kinds: str) -> list[KubeObject]:
    """Return the objects of these kinds."""
    return [one for one in objects if one["kind"] in kinds]


def the(objects: list[KubeObject], kind: str) -> KubeObject:
    """Return the only object of a kind."""
    [found] = of_kind(objects, kind)
    return found
