"""What every run's environment has: absolute paths, and the operator's own collections after the user's."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from reconcile_runner.options import Options
from reconcile_runner.reconciler import environment
from reconcile_runner.reconciler.environment import FORWARDING_COLLECTIONS, OWN_COLLECTIONS, RunEnvironment

OWN = f"{OWN_COLLECTIONS}:{FORWARDING_COLLECTIONS}"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "home"
    directory.mkdir()
    monkeypatch.setenv("HOME", str(directory))
    return directory


@pytest.fixture
def project(tmp_path: Path) -> Path:
    directory = tmp_path / "project"
    directory.mkdir()
    return directory


def test_the_directories_of_the_project_are_there() -> None:
    assert (OWN_COLLECTIONS / "ansible_collections/reconcile_runner/util/galaxy.yml").exists()
    assert (FORWARDING_COLLECTIONS / "ansible_collections/operator_sdk/util/meta/runtime.yml").exists()


def test_without_any_setting_ansibles_default_comes_first(project: Path, home: Path) -> None:
    made = RunEnvironment(Options(), {}, project).variables()
    assert made == {
        "ANSIBLE_COLLECTIONS_PATH": f"{home}/.ansible/collections:/usr/share/ansible/collections:{OWN}",
    }


def test_paths_of_the_environment_are_made_absolute(project: Path, home: Path) -> None:
    environ = {"ANSIBLE_ROLES_PATH": "roles:/r", "ANSIBLE_COLLECTIONS_PATH": "mine:~/theirs:/c"}
    made = RunEnvironment(Options(), environ, project).variables()
    assert made["ANSIBLE_ROLES_PATH"] == f"{project}/roles:/r"
    assert made["ANSIBLE_COLLECTIONS_PATH"] == f"{project}/mine:{home}/theirs:/c:{OWN}"


def test_flags_win_over_the_environment(project: Path) -> None:
    environ = {"ANSIBLE_ROLES_PATH": "/env", "ANSIBLE_COLLECTIONS_PATH": "/env"}
    made = RunEnvironment(
        Options(ansible_roles_path="/flag", ansible_collections_path="/flag"), environ, project
    ).variables()
    assert (made["ANSIBLE_ROLES_PATH"], made["ANSIBLE_COLLECTIONS_PATH"]) == ("/flag", f"/flag:{OWN}")


def test_the_configuration_file_of_the_working_directory_counts_for_runs_elsewhere(project: Path) -> None:
    (project / "ansible.cfg").write_text("[defaults]\ncollections_path = collections:../shared ; both\n")
    made = RunEnvironment(Options(), {}, project).variables()
    assert made["ANSIBLE_CONFIG"] == f"{project}/ansible.cfg"
    assert made["ANSIBLE_COLLECTIONS_PATH"] == f"{project}/collections:{project.parent}/shared:{OWN}"


@pytest.mark.parametrize("named", ["other/my.cfg", "other"], ids=["file", "directory"])
def test_a_configuration_file_that_is_named_is_the_one(project: Path, named: str) -> None:
    (project / "ansible.cfg").write_text("[defaults]\ncollections_path = wrong\n")
    (project / "other").mkdir()
    for name in ("my.cfg", "ansible.cfg"):
        (project / "other" / name).write_text("[defaults]\ncollections_path = right\n")
    made = RunEnvironment(Options(), {"ANSIBLE_CONFIG": named}, project).variables()
    config = f"{project}/other/{'my.cfg' if named.endswith('.cfg') else 'ansible.cfg'}"
    assert made == {"ANSIBLE_CONFIG": config, "ANSIBLE_COLLECTIONS_PATH": f"{project}/other/right:{OWN}"}


def test_without_the_file_that_is_named_the_next_one_counts_as_for_ansible(project: Path) -> None:
    (project / "ansible.cfg").write_text("[defaults]\ncollections_path = /local\n")
    made = RunEnvironment(Options(), {"ANSIBLE_CONFIG": "/no/such/file"}, project).variables()
    assert made == {"ANSIBLE_CONFIG": f"{project}/ansible.cfg", "ANSIBLE_COLLECTIONS_PATH": f"/local:{OWN}"}


def test_each_run_gets_what_the_configuration_says_then(project: Path, home: Path) -> None:
    environment, config = RunEnvironment(Options(), {}, project), project / "ansible.cfg"
    default = f"{home}/.ansible/collections:/usr/share/ansible/collections:{OWN}"
    assert environment.variables() == {"ANSIBLE_COLLECTIONS_PATH": default}
    config.write_text("[defaults]\ncollections_path = /wrong\n")
    assert environment.variables() == {
        "ANSIBLE_CONFIG": str(config),
        "ANSIBLE_COLLECTIONS_PATH": f"/wrong:{OWN}",
    }
    config.write_text("[defaults]\ncollections_path = /right\n")
    assert environment.variables()["ANSIBLE_COLLECTIONS_PATH"] == f"/right:{OWN}"
    config.unlink()
    assert environment.variables() == {"ANSIBLE_COLLECTIONS_PATH": default}


def test_the_users_configuration_file_counts_where_there_is_no_other(project: Path, home: Path) -> None:
    (home / ".ansible.cfg").write_text("[defaults]\ncollections_path = of-the-user\n")
    assert RunEnvironment(Options(), {}, project).variables()["ANSIBLE_COLLECTIONS_PATH"] == f"{home}/of-the-user:{OWN}"


@pytest.mark.parametrize("text", ["[defaults]\nroles_path = roles\n", "[other]\n", "no ini file"])
def test_a_file_that_does_not_say_leaves_the_default(project: Path, home: Path, text: str) -> None:
    (project / "ansible.cfg").write_text(text)
    made = RunEnvironment(Options(), {}, project).variables()["ANSIBLE_COLLECTIONS_PATH"]
    assert made == f"{home}/.ansible/collections:/usr/share/ansible/collections:{OWN}"


def test_a_template_in_the_file_is_left_to_ansible_with_a_warning(project: Path) -> None:
    (project / "ansible.cfg").write_text("[defaults]\ncollections_path = {{CWD}}/collections\n")
    with capture_logs() as lines:
        environment = RunEnvironment(Options(), {}, project)
        made = environment.variables()
        assert environment.variables() == made
    assert "ANSIBLE_COLLECTIONS_PATH" not in made
    [line] = lines
    assert "found '{{CWD}}/collections', expected paths without templates" in line["error"]


def test_a_directory_that_is_on_the_path_already_is_not_added_again(project: Path) -> None:
    options = Options(ansible_collections_path=f"{OWN_COLLECTIONS}:/c")
    made = RunEnvironment(options, {}, project).variables()["ANSIBLE_COLLECTIONS_PATH"]
    assert made == f"{OWN_COLLECTIONS}:/c:{FORWARDING_COLLECTIONS}"


def test_where_nothing_comes_with_the_operator_nothing_is_added(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OWN_COLLECTIONS", "FORWARDING_COLLECTIONS"):
        monkeypatch.setattr(environment, name, project / "nowhere")
    assert (
        RunEnvironment(Options(ansible_collections_path="/c"), {}, project).variables()["ANSIBLE_COLLECTIONS_PATH"]
        == "/c"
    )


def test_runs_are_told_where_metrics_are_taken(project: Path) -> None:
    made = RunEnvironment(Options(), {}, project, "http://127.0.0.1:5050/metrics").variables()
    assert made["RECONCILE_RUNNER_METRICS_URL"] == "http://127.0.0.1:5050/metrics"


def test_the_older_name_of_the_setting_and_ansibles_home_count(project: Path) -> None:
    for text, expected in {
        "collections_paths = /older": "/older",
        "home = /home/of/ansible": "/home/of/ansible/collections:/usr/share/ansible/collections",
    }.items():
        (project / "ansible.cfg").write_text(f"[defaults]\n{text}\n")
        made = RunEnvironment(Options(), {}, project).variables()
        assert made["ANSIBLE_COLLECTIONS_PATH"] == f"{expected}:{OWN}"


def test_playbooks_find_the_roles_and_modules_of_the_project(project: Path, home: Path) -> None:
    for name in ("roles", "library"):
        (project / name).mkdir()
    made = RunEnvironment(Options(), {}, project).variables()
    assert (
        made["ANSIBLE_ROLES_PATH"]
        == f"{project}/roles:{home}/.ansible/roles:/usr/share/ansible/roles:/etc/ansible/roles"
    )
    assert (
        made["ANSIBLE_LIBRARY"]
        == f"{project}/library:{home}/.ansible/plugins/modules:/usr/share/ansible/plugins/modules"
    )


@pytest.mark.parametrize("said_by", ["environment", "file", "flag"])
def test_who_says_where_roles_and_modules_are_is_believed(project: Path, said_by: str) -> None:
    for name in ("roles", "library"):
        (project / name).mkdir()
    environ = {"ANSIBLE_ROLES_PATH": "/r", "ANSIBLE_LIBRARY": "/l"} if said_by == "environment" else {}
    if said_by == "file":
        (project / "ansible.cfg").write_text("[defaults]\nroles_path = /r\nlibrary = /l\n")
    options = Options(ansible_roles_path="/r") if said_by == "flag" else Options()
    made = RunEnvironment(options, environ, project).variables()
    assert made.get("ANSIBLE_ROLES_PATH") == (None if said_by == "file" else "/r")
    assert ("ANSIBLE_LIBRARY" in made) is (said_by == "flag")


@pytest.mark.parametrize(
    ("own", "environ", "hidden"),
    [
        pytest.param("[defaults]\nnocows = True\n", {}, ["roles_path"], id="another file"),
        pytest.param("[defaults]\nroles_path = /r\nnocows = True\n", {}, [], id="the same settings"),
        pytest.param("", {"ANSIBLE_CONFIG": "/somewhere"}, [], id="chosen"),
        pytest.param(None, {}, [], id="no file"),
    ],
)
def test_settings_of_the_systems_file_that_runs_do_not_have_are_named(
    project: Path, monkeypatch: pytest.MonkeyPatch, own: str | None, environ: dict[str, str], hidden: list[str]
) -> None:
    system = project / "system.cfg"
    system.write_text("[defaults]\nroles_path = /opt/ansible/roles\nnocows = True\n")
    monkeypatch.setattr(environment, "SYSTEM_CONFIG", system)
    if own is not None:
        (project / "ansible.cfg").write_text(own)
    assert RunEnvironment(Options(), environ, project).hidden_settings() == hidden
