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
from reconcile_runner.execution.forkserver.engine import ForkserverEngine
from reconcile_runner.execution.job import RunStatus
from reconcile_runner.execution.pool import SubprocessEngine
from reconcile_runner.options import EngineName
from tests.support import cores
from tests.support.ansible_support import clean_environment
from tests.support.jobs import make_job
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


def settings(older: OlderOperator, cluster: Cluster, directory: Path) -> dict[str, str]:
    """Return the environment in which Ansible finds the cluster, collections, and the directory's own roles."""
    environment = clean_environment(directory, K8S_AUTH_KUBECONFIG=str(cluster.kubeconfig))
    own = f"{older.directory / 'collections'}:{REPOSITORY / 'collections' / 'forwarding'}"
    environment["ANSIBLE_COLLECTIONS_PATH"] += f":{own}"
    environment["ANSIBLE_ROLES_PATH"] = str(older.directory / "roles")
    return environment


def variables(older: OlderOperator, namespace: str) -> dict[str, object]:
    """Return the extra variables of a run for the sample, and where the Kubernetes client is installed."""
    meta = {"name": f"{older.kind.lower()}-sample", "namespace": namespace}
    return {"ansible_operator_meta": meta, "ansible_python_interpreter": sys.executable}


def program_of(core: str) -> Path:
    try:
        return cores.ansible_playbook(core)
    except cores.NoInterpreterError as missing:
        pytest.skip(str(missing))


def plain(
    core: str, older: OlderOperator, cluster: Cluster, namespace: str, directory: Path
) -> subprocess.CompletedProcess[str]:
    """Run what the operator runs for its sample by plain ansible-playbook of a core."""
    playbook = older.directory / older.content
    if playbook.is_dir():
        role = {"hosts": "localhost", "gather_facts": False, "roles": [str(playbook)]}
        playbook = directory / "play.yml"
        playbook.write_text(yaml.safe_dump([role]))
    command = [str(program_of(core)), str(playbook), "--extra-vars", json.dumps(variables(older, namespace))]
    environment = settings(older, cluster, directory)
    return subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "core", [pytest.param(CORE, marks=pytest.mark.exhaustive), *filter(cores.is_installed, cores.SUPPORTED)]
)
def test_plain_ansible_of_2_18_runs_it_and_a_newer_one_does_not(
    core: str, older: OlderOperator, cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    sample = older.create(cluster.api, namespace)
    done = plain(core, older, cluster, namespace, tmp_path)
    assert (done.returncode == 0) == (core == CORE), done.stdout + done.stderr
    if done.returncode == 0:
        older.is_served(sample, namespace)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", EngineName)
async def test_both_engines_run_it_on_2_18(
    name: EngineName, older: OlderOperator, cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    program = program_of(CORE)
    engine = SubprocessEngine(program) if name is EngineName.SUBPROCESS else ForkserverEngine(program)
    sample = older.create(cluster.api, namespace)
    content = str(older.directory / older.content)
    needed = {
        key: text for key, text in settings(older, cluster, tmp_path).items() if key.startswith(("ANSIBLE_", "K8S_"))
    }
    job = make_job(tmp_path, content, variables(older, namespace), env=needed)
    (job.private_data_dir / "kubeconfig").write_text(cluster.kubeconfig.read_text())
    await engine.start()
    try:
        result = await engine.run(job, lambda _: None)
    finally:
        await engine.stop()
    assert result.status is RunStatus.SUCCESSFUL, result
    older.is_served(sample, namespace)
