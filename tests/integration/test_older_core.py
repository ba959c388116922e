"""Operators that were written for ansible-core 2.18: 2.19 refuses tasks of theirs, 2.18 runs them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from reconcile_devcluster import crds
from reconcile_devcluster.cluster import Cluster
from tests.support import cores
from tests.support.ansible_support import clean_environment
from tests.support.olderoperators import CORE, OPERATORS, OlderOperator
from tests.support.operator_process import REPOSITORY, Kube

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module", params=OPERATORS, ids=lambda one: one.name)
def older(request: pytest.FixtureRequest, cluster: Cluster) -> OlderOperator:
    found: OlderOperator = request.param
    crds.install(cluster.api, found.crds)
    return found


@pytest.fixture
def namespace(cluster: Cluster, request: pytest.FixtureRequest, older: OlderOperator) -> str:
    name = f"{older.kind.lower()}-{abs(hash(request.node.name)) % 10_000}"
    Kube(cluster.api).create_namespace(name)
    return name


def plain(
    core: str, older: OlderOperator, cluster: Cluster, namespace: str, directory: Path
) -> subprocess.CompletedProcess[str]:
    """Run what the operator runs for its sample by plain ansible-playbook of a core."""
    try:
        program = cores.ansible_playbook(core)
    except cores.NoInterpreterError as missing:
        pytest.skip(str(missing))
    playbook = older.directory / older.content
    if playbook.is_dir():
        role = {"hosts": "localhost", "gather_facts": False, "roles": [str(playbook)]}
        playbook = directory / "play.yml"
        playbook.write_text(yaml.safe_dump([role]))
    meta = {"name": f"{older.kind.lower()}-sample", "namespace": namespace}
    variables = {"ansible_operator_meta": meta, "ansible_python_interpreter": sys.executable}
    environment = clean_environment(directory, K8S_AUTH_KUBECONFIG=str(cluster.kubeconfig))
    own = f"{older.directory / 'collections'}:{REPOSITORY / 'collections' / 'forwarding'}"
    environment["ANSIBLE_COLLECTIONS_PATH"] += f":{own}"
    environment["ANSIBLE_ROLES_PATH"] = str(older.directory / "roles")
    command = [str(program), str(playbook), "--extra-vars", json.dumps(variables)]
    return subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("core", [pytest.param(CORE, marks=pytest.mark.exhaustive), *cores.EACH])
def test_plain_ansible_of_2_18_runs_it_and_a_newer_one_does_not(
    core: str, older: OlderOperator, cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    sample = older.create(cluster.api, namespace)
    done = plain(core, older, cluster, namespace, tmp_path)
    assert (done.returncode == 0) == (core in {"2.16", "2.17", CORE}), done.stdout + done.stderr
    if done.returncode == 0:
        older.is_served(sample, namespace)
