"""The image, built and looked into: what is in it, what is not, and that it starts as a restricted Pod starts it."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

import reconcile_runner
from tests.e2e.container import Container, why_not
from tools.environment import ROOT
from tools.image.archive import ImageArchive, Kind
from tools.image.build import RUNNER_IMAGE, Wish, build
from tools.image.builder import Builder, Recipe, find_builder
from tools.image.contents import Ecosystem, packages

pytestmark = pytest.mark.timeout(1200)

DEFAULT_BASE_IMAGE = "mmdebstrap:trixie"
BASE_IMAGE = os.environ.get("E2E_BASE_IMAGE", DEFAULT_BASE_IMAGE)
"""What the image is built on: by default a base that is made here, so that none has to be pulled."""

WATCHES = """- {group: example.com, version: v1, kind: Example, role: example}
"""
PLAYBOOK = """- hosts: localhost
  gather_facts: false
  roles: [example, acme.greetings.hello]
"""
MODULE = """#!/usr/local/bin/python3
import sys
from ansible.module_utils.basic import AnsibleModule
import kubernetes
AnsibleModule({}).exit_json(prefix=sys.prefix)
"""
GALAXY = "{namespace: acme, name: greetings, version: 1.0.0, readme: README.md, authors: [acme]}\n"
REQUIREMENTS = "collections: [{name: ./collection, type: dir}]\n"

# As Dockerfiles of operators for ansible-operator's image have it; the directory is that of its users.
DOCKERFILE = """
USER root
COPY collection/ /tmp/build/collection/
COPY requirements.yml /tmp/build/requirements.yml
USER ${USER_UID}
RUN cd /tmp/build && ansible-galaxy collection install -r requirements.yml \\
 && chmod -R ug+rwx ${HOME}/.ansible
COPY --chown=${USER_UID}:0 watches.yaml ${HOME}/watches.yaml
COPY --chown=${USER_UID}:0 roles/ ${HOME}/roles/
COPY --chown=${USER_UID}:0 playbooks/ ${HOME}/playbooks/
COPY library/ /opt/ansible/library/
ENV ANSIBLE_FORCE_COLOR=false
ENTRYPOINT ["/tini", "--", "/usr/local/bin/ansible-operator", "run", "--watches-file=./watches.yaml"]
"""


@pytest.fixture(scope="module")
def builder() -> Builder:
    return find_builder(os.environ.get("BUILDER", ""))


@pytest.fixture(scope="module")
def image(builder: Builder, tmp_path_factory: pytest.TempPathFactory) -> ImageArchive:
    archive = tmp_path_factory.mktemp("image") / "operator.tar"
    build(Wish(image="localhost/foo-operator:e2e", base_image=BASE_IMAGE, archive=archive), builder)
    return ImageArchive.open(archive)


@pytest.fixture(scope="module")
def container(image: ImageArchive, tmp_path_factory: pytest.TempPathFactory) -> Container:
    return started(image, tmp_path_factory.mktemp("container"))


@pytest.fixture(scope="module")
def derived(builder: Builder, image: ImageArchive, tmp_path_factory: pytest.TempPathFactory) -> ImageArchive:
    """Build an operator of somebody's own, on the base that was built with the image."""
    assert image.files
    context = tmp_path_factory.mktemp("derived")
    (context / "roles" / "example" / "tasks").mkdir(parents=True)
    (context / "roles" / "example" / "tasks" / "main.yml").write_text("- greet:\n", encoding="utf-8")
    (context / "watches.yaml").write_text(WATCHES, encoding="utf-8")
    (context / "playbooks").mkdir()
    (context / "playbooks" / "example.yml").write_text(PLAYBOOK, encoding="utf-8")
    (context / "library").mkdir()
    (context / "library" / "greet.py").write_text(MODULE, encoding="utf-8")
    collection = context / "collection"
    (collection / "roles" / "hello" / "tasks").mkdir(parents=True)
    (collection / "roles" / "hello" / "tasks" / "main.yml").write_text("- ansible.builtin.debug:\n", encoding="utf-8")
    (collection / "galaxy.yml").write_text(GALAXY, encoding="utf-8")
    (context / "requirements.yml").write_text(REQUIREMENTS, encoding="utf-8")
    dockerfile = context / "Dockerfile"
    dockerfile.write_text(f"FROM {RUNNER_IMAGE}\n{DOCKERFILE}", encoding="utf-8")
    builder.build(Recipe("localhost/derived-operator:e2e", context, dockerfile))
    archive = context / "derived.tar"
    builder.save("localhost/derived-operator:e2e", archive)
    return ImageArchive.open(archive)


def started(image: ImageArchive, directory: Path) -> Container:
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    root = directory / "root"
    root.mkdir()
    image.extract(root)
    return Container(image, root)


def programs(image: ImageArchive) -> set[str]:
    """Names of what stands where programs are looked for."""
    return {Path(path).name for path in image.files if Path(path).parent.name in {"bin", "sbin"}}


def test_there_is_no_pip_and_no_compiler(image: ImageArchive) -> None:
    found = programs(image)
    assert "ansible-playbook" in found
    assert not {name for name in found if re.match(r"(pip|gcc|g\+\+|cc|c\+\+|ld|as|make|clang)[\d.]*$", name)}
    assert not [path for path in image.files if re.search(r"-packages/(pip|setuptools|ensurepip)/", path)]


def test_no_file_gives_its_owners_rights_to_who_runs_it(image: ImageArchive) -> None:
    assert not [path for path, file in image.files.items() if file.kind is Kind.FILE and file.mode & 0o6000]


def test_nobody_but_root_may_write_what_runs(image: ImageArchive) -> None:
    below = [path for path in image.files if re.match(r"(opt/reconcile-runner|usr|etc)(/|$)", path)]
    loose = [path for path in below if image.files[path].kind is not Kind.LINK and image.files[path].mode & 0o022]
    assert [path for path in loose if not re.match(r"usr/local/|var/", path)] == []
    assert {image.files[path].uid for path in below} == {0}


def test_it_runs_as_a_numbered_user_of_the_group_root(image: ImageArchive) -> None:
    assert image.config.user == "1001:0"
    assert image.config.working_directory == "/opt/ansible"
    assert image.config.environment["HOME"] == "/opt/ansible"
    home = image.files["opt/ansible"]
    assert (home.uid, home.gid, home.mode & 0o070) == (1001, 0, 0o070)


def test_no_setting_of_the_machine_that_built_it_is_left(image: ImageArchive) -> None:
    assert "etc/pip.conf" not in image.files
    assert not [path for path in image.files if path.startswith(("run/secrets/", "build/", "root/.cache"))]
    assert not {name for name in image.config.environment if name.startswith(("PIP_", "HTTP", "http", "NO_PROXY"))}


def test_the_base_for_others_is_in_it_and_foo_is_on_top(image: ImageArchive) -> None:
    foo = {
        path: file.layer
        for path, file in image.files.items()
        if re.match(r"opt/ansible/(roles|playbooks|watches)", path)
    }
    assert "opt/ansible/watches.yaml" in foo
    assert "opt/ansible/roles/foo/tasks/main.yml" in foo
    assert "opt/ansible/playbooks/foo.yml" in foo
    assert min(foo.values()) > image.files["usr/local/bin/ansible-operator"].layer


def test_it_holds_what_is_pinned_and_the_runner_and_nothing_else_of_python(image: ImageArchive) -> None:
    minor = next(match[1] for path in image.files if (match := re.match(r"usr/lib/python3\.(\d+)/os\.py$", path)))
    lock = (ROOT / "requirements" / f"runtime-py3{minor}.txt").read_text(encoding="utf-8")
    pinned = set(re.findall(r"^([\w.-]+)==([^ ]+)", lock, re.MULTILINE))
    found = {
        (one.name.lower().replace("_", "-"), one.version)
        for one in packages(image)
        if one.ecosystem is Ecosystem.PYTHON
    }
    ours = ("ansible-reconcile-runner", reconcile_runner.__version__)
    assert found == {(name.lower().replace("_", "-"), version) for name, version in pinned} | {ours}


def test_its_size_is_what_the_documentation_says(image: ImageArchive) -> None:
    table = (ROOT / "docs" / "reference" / "image.md").read_text(encoding="utf-8")
    sizes = {base: int(size) for base, size in re.findall(r"^\| `([^`]+)` .*?\| (\d+) MB \|", table, re.MULTILINE)}
    if BASE_IMAGE not in sizes:
        pytest.skip(f"docs/reference/image.md says no size of an image on {BASE_IMAGE}")
    assert image.size / 1e6 == pytest.approx(sizes[BASE_IMAGE], rel=0.1)
    assert f"takes {sizes[DEFAULT_BASE_IMAGE]} MB" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_labels_say_what_it_is(image: ImageArchive) -> None:
    labels = image.config.labels
    assert labels["org.opencontainers.image.title"] == "foo-operator"
    assert labels["org.opencontainers.image.version"] == reconcile_runner.__version__
    assert labels["org.opencontainers.image.revision"] == image.config.environment["RUNNER_COMMIT"]


def test_any_user_starts_it_with_a_read_only_root(container: Container) -> None:
    answer = container.run("/usr/bin/tini", "--", "ansible-operator", "version")
    assert answer.returncode == 0, answer.stderr
    assert f'runner version: "{reconcile_runner.__version__}"' in answer.stdout
    assert container.run("touch", "/opt/ansible/x").returncode != 0


def test_its_watches_are_valid_where_it_starts(container: Container) -> None:
    answer = container.run("ansible-operator", "validate", "--watches-file=./watches.yaml")
    assert (answer.returncode, answer.stdout.strip()) == (0, "0 errors, 0 warnings"), answer.stderr


def test_the_entry_point_takes_further_flags(container: Container) -> None:
    answer = container.run(*container.image.config.entrypoint, "--no-such-flag")
    assert answer.returncode == 2
    assert "--no-such-flag" in answer.stderr


@pytest.mark.parametrize("user", [1001, 1_234_560_000])
def test_ansible_finds_role_collections_and_modules_for_any_user(container: Container, user: int) -> None:
    tasks = [{"ansible.builtin.include_role": {"name": "foo"}}]
    play = json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}])
    python = "/opt/reconcile-runner/venv/bin/python"
    variables = f"foo_name=a foo_namespace=b foo_friend=c ansible_python_interpreter={python}"
    ansible = f"ansible-playbook --connection=local --inventory=localhost, --extra-vars='{variables}' /tmp/play.yml"
    script = f"echo '{play}' >/tmp/play.yml && exec {ansible}"
    answer = container.run("sh", "-c", script, user=user)
    # There is no cluster: it gets as far as asking for one, through the collection's module and the Kubernetes client.
    assert "Look for the friend's Pod" in answer.stdout, answer.stdout + answer.stderr
    assert "couldn't resolve module" not in answer.stdout + answer.stderr
    assert re.search(r"kube|configuration", answer.stdout + answer.stderr)


def test_modules_are_compiled_already(container: Container) -> None:
    compiled = container.run("python", "-v", "-c", "import yaml, ansible.cli.playbook")
    assert compiled.returncode == 0
    from_source = [line for line in compiled.stderr.splitlines() if re.search(r"code object from '/opt/.*\.py'", line)]
    assert from_source == []


def test_an_operator_of_ones_own_takes_two_lines(derived: ImageArchive, tmp_path: Path) -> None:
    assert "opt/ansible/playbooks/foo.yml" not in derived.files
    answer = started(derived, tmp_path).run("ansible-operator", "validate")
    assert (answer.returncode, answer.stdout.strip()) == (0, "0 errors, 0 warnings"), answer.stderr


def test_a_dockerfile_for_upstreams_image_needs_its_first_line_changed(derived: ImageArchive, tmp_path: Path) -> None:
    container = started(derived, tmp_path)
    variables = "ansible_python_interpreter=/usr/local/bin/python3"
    played = container.run(
        "ansible-playbook",
        "-v",
        "--inventory=localhost,",
        "--connection=local",
        "-e",
        variables,
        "playbooks/example.yml",
    )
    assert played.returncode == 0, played.stdout + played.stderr
    assert '"prefix": "/opt/reconcile-runner/venv"' in played.stdout
    tini, *command = derived.config.entrypoint
    answer = container.run(tini, *command[:2], "version")
    assert answer.returncode == 0, answer.stderr


def test_ansible_looks_below_home_first_where_dockerfiles_install_collections(container: Container) -> None:
    answer = container.run("ansible-config", "dump", "--format=json", "--only-changed")
    settings = {one["name"]: one["value"] for one in json.loads(answer.stdout) if "name" in one}
    assert settings["DEFAULT_ROLES_PATH"] == ["/opt/ansible/roles"]
    assert settings["COLLECTIONS_PATHS"][0] == "/opt/ansible/.ansible/collections"


def test_the_packages_own_collections_are_on_ansibles_path(container: Container) -> None:
    answer = container.run("ansible-doc", "--json", "reconcile_runner.util.k8s_status", "operator_sdk.util.k8s_status")
    assert answer.returncode == 0, answer.stderr
    for documentation in json.loads(answer.stdout).values():
        file = documentation["doc"]["filename"]
        assert file.startswith("/opt/reconcile-runner/collections/ansible_collections/reconcile_runner/util/")
