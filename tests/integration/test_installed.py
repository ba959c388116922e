"""The wheels, installed away from the checkout: in an empty directory, with site-packages that cannot be written to.

In that directory lies a `yaml.py` which ends who imports it: nothing there is taken for a module of ours or Ansible's.
"""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import yaml

from reconcile_devcluster import crds
from reconcile_devcluster.api import ApiServer
from reconcile_runner import __version__
from tests.support.hosting import Hosted
from tests.support.installed import KUBERNETES_CORE, Installation, install
from tests.support.lifecycle import GROUP, definition, thing
from tests.support.operator_process import REPOSITORY, eventually
from tools.testing.operator import OperatorProcess, started

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.timeout(300), pytest.mark.exhaustive]

KIND = "Installed"

TASKS = """
- name: Say where this came from
  reconcile_runner.util.k8s_status:
    api_version: life.test/v1
    kind: Installed
    name: "{{ ansible_operator_meta.name }}"
    namespace: "{{ ansible_operator_meta.namespace }}"
    status:
      python: "{{ ansible_playbook_python }}"
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return install(tmp_path_factory.mktemp("installed"))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write an operator's directory, and the stray module into it."""
    directory = tmp_path_factory.mktemp("project")
    (directory / "yaml.py").write_text("raise SystemExit('the stray yaml.py was imported')\n")
    (directory / "roles/installed/tasks").mkdir(parents=True)
    (directory / "roles/installed/tasks/main.yml").write_text(TASKS)
    watch = {"group": GROUP, "version": "v1", "kind": KIND, "role": "installed"}
    (directory / "watches.yaml").write_text(yaml.safe_dump([watch]))
    (directory / "ansible.cfg").write_text("[defaults]\nroles_path = roles\n")
    (directory / "crds").mkdir()
    (directory / "crds/installed.yaml").write_text(yaml.safe_dump(definition(KIND)))
    return directory


@pytest.fixture(scope="module")
def kubeconfig(installed: Installation, project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Have the installed `reconcile-devcluster` start and stop a control plane."""
    data = tmp_path_factory.mktemp("devcluster")
    up = installed.run(["reconcile-devcluster", "up", "--dir", str(data)], project)
    assert up.returncode == 0, up.stderr
    try:
        crds.install(ApiServer.from_kubeconfig(data / "kubeconfig"), project / "crds")
        yield data / "kubeconfig"
    finally:
        down = installed.run(["reconcile-devcluster", "down", "--dir", str(data)], project)
    assert down.returncode == 0, down.stderr


def test_the_command_says_its_version(installed: Installation, project: Path) -> None:
    for program in ("reconcile-runner", "ansible-operator"):
        answer = installed.run([program, "version"], project)
        assert f'"{__version__}"' in answer.stdout, answer.stderr


def test_the_checkout_is_not_what_runs(installed: Installation, project: Path) -> None:
    code = (
        "import reconcile_devcluster, reconcile_runner; print(reconcile_runner.__file__, reconcile_devcluster.__file__)"
    )
    answer = installed.run(["python", "-I", "-c", code], project)
    assert all(path.startswith(f"{installed.site_packages}/") for path in answer.stdout.split()), answer
    write = f"open({str(installed.site_packages / 'probe')!r}, 'w')"
    assert "PermissionError" in installed.run(["python", "-I", "-c", write], project).stderr


def test_watches_are_validated(installed: Installation, project: Path) -> None:
    answer = installed.run(["reconcile-runner", "validate"], project)
    assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize("engine", ["forkserver", "subprocess"])
def test_a_role_uses_the_packages_own_collection(
    installed: Installation, project: Path, kubeconfig: Path, engine: str
) -> None:
    with serving(installed, project, "--engine", engine, "--kubeconfig", str(kubeconfig)) as operator:
        operator.wait_ready()
        made = thing(ApiServer.from_kubeconfig(kubeconfig), KIND).create()
        python = installed.program("python")
        eventually(lambda: made.get().get("status", {}).get("python") == python, f"the status of {made.name}")
        made.becomes_ready()


@pytest.mark.parametrize(
    ("example", "collection"),
    [
        ("appservice", "app.example.com/v1/namespaces/default/appservices"),
        ("blogpost", "iximiuz.com/v1/namespaces/default/blogposts"),
    ],
    ids=["appservice", "blogpost"],
)
def test_a_copy_of_an_example_works_anywhere(
    installed: Installation, kubeconfig: Path, tmp_path: Path, example: str, collection: str
) -> None:
    copy = tmp_path / example
    shutil.copytree(REPOSITORY / "examples" / example, copy, ignore=shutil.ignore_patterns(".*"))
    # As `ansible-galaxy collection install -r requirements.yml -p .collections` leaves it.
    (copy / ".collections").symlink_to(KUBERNETES_CORE)
    answer = installed.run(["reconcile-runner", "validate"], copy, {"ANSIBLE_COLLECTIONS_PATH": ""})
    assert (answer.returncode, answer.stdout) == (0, "0 errors, 0 warnings\n"), answer.stderr
    api = ApiServer.from_kubeconfig(kubeconfig)
    crds.install(api, copy / "crds")
    sample = yaml.safe_load((copy / "config/samples" / f"{example}-01.yaml").read_text())
    with serving(installed, copy, "--kubeconfig", str(kubeconfig), ANSIBLE_COLLECTIONS_PATH="") as operator:
        operator.wait_ready()
        api.call("POST", f"/apis/{collection}", sample)
        made = Hosted(api, f"/apis/{collection}", f"{example}-01").succeeds()
        made.delete()
        made.goes()


@contextmanager
def serving(installed: Installation, project: Path, *flags: str, **environ: str) -> Iterator[OperatorProcess]:
    """Run the installed operator in the project's directory."""
    command = [installed.program("reconcile-runner"), "run", "--zap-encoder", "json", *flags]
    command += ["--health-probe-bind-address", "127.0.0.1:0", "--metrics-bind-address", "127.0.0.1:0"]
    environment = installed.environment() | {"ANSIBLE_CONFIG": str(project / "ansible.cfg")} | environ
    with started(installed.confined(command), environment, project) as operator:
        yield operator


def test_the_development_cluster_needs_no_runner(tmp_path: Path) -> None:
    alone = install(tmp_path, ["reconcile_devcluster"])
    assert (
        "No module named 'reconcile_runner'" in alone.run(["python", "-c", "import reconcile_runner"], tmp_path).stderr
    )
    answer = alone.run(["reconcile-devcluster", "status", "--dir", str(tmp_path / "data")], tmp_path)
    assert (answer.returncode, answer.stderr) == (1, "")
    assert answer.stdout
