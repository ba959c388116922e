from __future__ import annotations

import stat
from pathlib import Path

import orjson
import pytest

from reconcile_runner.apimachinery.objects import GroupVersionKind, ObjectKey
from reconcile_runner.errors import ExecutionError
from reconcile_runner.execution.job import RunSettings
from reconcile_runner.reconciler.inputdir import InputDir

FOO = GroupVersionKind("tutorial.my.domain", "v1", "Foo")
KEY = ObjectKey("default", "foo-01")
INPUTS = (b'\t{"a": 1}', "kind: Config\n", RunSettings())


def test_the_layout_is_upstreams(tmp_path: Path) -> None:
    directory = InputDir(tmp_path, {}).write(FOO, KEY, *INPUTS)
    assert directory == tmp_path / "tutorial.my.domain/v1/Foo/default/foo-01"
    files = {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}
    assert files == {"env/envvars", "env/extravars", "env/settings", "env/cmdline", "inventory/hosts", "kubeconfig"}
    assert (directory / "project").is_dir()


def test_segments_that_are_empty_are_left_out(tmp_path: Path) -> None:
    node = InputDir(tmp_path, {}).path(GroupVersionKind("", "v1", "Node"), ObjectKey("", "worker"))
    assert node == tmp_path / "v1/Node/worker"


@pytest.mark.parametrize("name", ["..", ".", "../../etc", "a/b", "a\0b"])
def test_a_name_never_leads_out_of_the_root(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="cannot be the name of a directory"):
        InputDir(tmp_path, {}).write(FOO, ObjectKey("default", name), *INPUTS)
    with pytest.raises(ValueError, match="cannot be the name of a directory"):
        InputDir(tmp_path, {}).remove(FOO, ObjectKey(name, "foo-01"))


def test_everything_is_private(tmp_path: Path) -> None:
    InputDir(tmp_path / "root", {}).write(FOO, KEY, *INPUTS)
    made = list((tmp_path / "root").rglob("*"))
    assert all(stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600) for path in made)


def test_the_environment_leads_to_the_runs_own_kubeconfig(tmp_path: Path) -> None:
    settings = RunSettings(ansible_args="--tags 'a b'", environment={"KUBECONFIG": "the operator's", "OTHER": "x"})
    directory = InputDir(tmp_path, {}).write(FOO, KEY, b"{}", "mine", settings)
    kubeconfig = str(directory / "kubeconfig")
    envvars = orjson.loads((directory / "env/envvars").read_bytes())
    assert envvars == {"KUBECONFIG": kubeconfig, "K8S_AUTH_KUBECONFIG": kubeconfig, "OTHER": "x"}
    assert (directory / "kubeconfig").read_text() == "mine"
    assert (directory / "env/cmdline").read_text() == "--tags 'a b'"


def test_nothing_of_an_earlier_runs_inputs_survives(tmp_path: Path) -> None:
    directories = InputDir(tmp_path, {})
    directory = directories.write(
        FOO, KEY, b"{}", "first", RunSettings(ansible_args="--tags old", environment={"OLD": "1"})
    )
    for stray in ("env/passwords", "env/ssh_key", "inventory/group_vars", "project/roles"):
        (directory / stray).write_text("stray")
    (directory / "artifacts/1").mkdir(parents=True)
    directories.write(FOO, KEY, b"{}", "second", RunSettings())
    assert "OLD" not in (directory / "env/envvars").read_text()
    assert (directory / "env/cmdline").read_text() == ""
    assert not [path for path in directory.rglob("*") if path.is_file() and path.read_text() == "stray"]
    assert (directory / "artifacts/1").is_dir()


def test_a_link_in_place_of_a_file_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("untouched")
    directories = InputDir(tmp_path / "root", {})
    directory = directories.write(FOO, KEY, *INPUTS)
    (directory / "kubeconfig").unlink()
    (directory / "kubeconfig").symlink_to(target)
    (directory / ".kubeconfig.new").symlink_to(target)
    directories.write(FOO, KEY, *INPUTS)
    assert target.read_text() == "untouched"
    assert not (directory / "kubeconfig").is_symlink()


@pytest.mark.parametrize(
    ("environment", "interpreter"),
    [({}, "{{ ansible_playbook_python }}"), ({"VIRTUAL_ENV": "/a b/venv"}, "/a b/venv/bin/python3")],
    ids=["none", "venv"],
)
def test_the_inventory_is_localhost_alone(tmp_path: Path, environment: dict[str, str], interpreter: str) -> None:
    directory = InputDir(tmp_path, environment).write(FOO, KEY, *INPUTS)
    hosts = orjson.loads((directory / "inventory/hosts").read_bytes())
    variables = {"ansible_connection": "local", "ansible_python_interpreter": interpreter}
    assert hosts == {"all": {"hosts": {"localhost": variables}}}


def test_a_given_inventory_file_is_copied(tmp_path: Path) -> None:
    given = tmp_path / "given.sh"
    given.write_text("#!/bin/sh\n")
    given.chmod(0o755)
    directory = InputDir(tmp_path / "root", {"ANSIBLE_INVENTORY": str(given)}).write(FOO, KEY, *INPUTS)
    hosts = directory / "inventory/hosts"
    assert hosts.read_text() == "#!/bin/sh\n"
    assert stat.S_IMODE(hosts.stat().st_mode) == 0o700


def test_a_given_inventory_directory_is_copied(tmp_path: Path) -> None:
    given = tmp_path / "given"
    (given / "group_vars").mkdir(parents=True)
    (given / "hosts.yml").write_text("all: {}")
    (given / "group_vars/all.yml").write_text("a: 1")
    directory = InputDir(tmp_path / "root", {"ANSIBLE_INVENTORY": str(given)}).write(FOO, KEY, *INPUTS)
    assert (directory / "inventory/group_vars/all.yml").read_text() == "a: 1"
    assert stat.S_IMODE((directory / "inventory/hosts.yml").stat().st_mode) == 0o600


@pytest.mark.parametrize(("kept", "left"), [(0, 3), (1, 0), (2, 1), (9, 3)])
def test_room_is_made_for_the_artifacts_of_the_run_to_come(tmp_path: Path, kept: int, left: int) -> None:
    directories = InputDir(tmp_path, {})
    artifacts = directories.path(FOO, KEY) / "artifacts"
    for ident in "123":
        (artifacts / ident).mkdir(parents=True)
    directories.write(FOO, KEY, b"{}", "", RunSettings(max_artifacts=kept))
    assert len(list(artifacts.iterdir())) == left


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "root").write_text("not a directory")
    with pytest.raises(ExecutionError, match=r"the inputs of the run cannot be written: .*File exists"):
        InputDir(tmp_path / "root", {}).write(FOO, KEY, *INPUTS)
    given = InputDir(tmp_path, {"ANSIBLE_INVENTORY": str(tmp_path / "none")})
    with pytest.raises(ExecutionError, match=f"No such file or directory: '{tmp_path}/none'"):
        given.write(FOO, KEY, *INPUTS)


def test_an_object_that_is_gone_leaves_nothing(tmp_path: Path) -> None:
    directories = InputDir(tmp_path, {})
    directories.write(FOO, KEY, *INPUTS)
    other = directories.write(FOO, ObjectKey("other", "foo-02"), *INPUTS)
    directories.remove(FOO, KEY)
    assert not (tmp_path / "tutorial.my.domain/v1/Foo/default").exists()
    assert other.is_dir()
    directories.remove(FOO, ObjectKey("other", "foo-02"))
    assert list(tmp_path.iterdir()) == []
    directories.remove(FOO, KEY)


def test_whose_directories_there_are_is_told_also_of_cluster_scoped_objects(tmp_path: Path) -> None:
    earlier = InputDir(tmp_path, {})
    node, config = GroupVersionKind("", "v1", "Node"), ObjectKey("default", "kubeconfig")
    for gvk, key in ((FOO, KEY), (FOO, config), (node, ObjectKey("", "worker")), (node, ObjectKey("", "artifacts"))):
        earlier.write(gvk, key, *INPUTS)
    directories = InputDir(tmp_path, {})
    assert sorted(directories.keys(FOO)) == [KEY, config]
    assert sorted(directories.keys(node)) == [ObjectKey("", "artifacts"), ObjectKey("", "worker")]
    assert directories.keys(GroupVersionKind("other", "v1", "Foo")) == []
