from __future__ import annotations

from pathlib import Path

import pytest

import reconcile_runner
from tests.unit.tools.image.programs import Programs
from tools.image import build
from tools.image.builder import Builder, BuilderError, Program


def test_the_base_of_other_operators_is_built_before_the_operator(programs: Programs) -> None:
    programs.add("docker")
    build.build(build.Wish("localhost/my-operator:1", "debian:13"), Builder(Program.DOCKER))
    builds = [call for call in programs.calls() if call[1] == "build"]
    assert [call[call.index("--tag") + 1] for call in builds] == [
        "localhost/reconcile-runner:dev",
        "localhost/my-operator:1",
    ]
    assert [call[call.index("--target") + 1] for call in builds] == ["runner", "operator"]
    assert all("BASE_IMAGE=debian:13" in call for call in builds)


def test_without_a_base_the_dockerfile_chooses(programs: Programs) -> None:
    programs.add("docker")
    build.build(build.Wish(), Builder(Program.DOCKER))
    assert not [part for call in programs.calls() for part in call if part.startswith(("BASE_IMAGE", "CORE"))]


def test_an_older_core_is_an_argument_of_both_builds_and_in_both_names(programs: Programs) -> None:
    programs.add("docker")
    build.build(build.Wish(core=build.cores()[0]), Builder(Program.DOCKER))
    builds = [call for call in programs.calls() if call[1] == "build"]
    assert [call[call.index("--tag") + 1] for call in builds] == [
        f"localhost/reconcile-runner:dev-core{build.cores()[0]}",
        f"{build.default_image()}-core{build.cores()[0]}",
    ]
    assert all(f"CORE={build.cores()[0]}" in call for call in builds)


def test_a_name_that_is_given_is_the_name_whatever_the_core(programs: Programs) -> None:
    programs.add("docker")
    build.build(build.Wish("localhost/my-operator:1", core=build.cores()[0]), Builder(Program.DOCKER))
    assert "localhost/my-operator:1" in programs.calls()[-2] + programs.calls()[-1]


def test_a_core_without_requirements_is_refused_with_those_that_there_are(programs: Programs) -> None:
    programs.add("docker")
    with pytest.raises(BuilderError, match=r"CORE: found '1\.9', expected one of .*2\.19, 2\.20"):
        build.build(build.Wish(core="1.9"), Builder(Program.DOCKER))


def test_an_archive_is_saved_where_it_is_asked_for(programs: Programs, tmp_path: Path) -> None:
    programs.add("docker", '[ "$1" = save ] && : >"$3"; exit 0')
    build.build(build.Wish(archive=tmp_path / "x.tar"), Builder(Program.DOCKER))
    assert (tmp_path / "x.tar").exists()


def test_only_the_first_of_two_fresh_builds_starts_anew(programs: Programs) -> None:
    programs.add("docker")
    build.build(build.Wish(fresh=True), Builder(Program.DOCKER))
    assert ["--no-cache" in call for call in programs.calls() if call[1] == "build"] == [True, False]


def test_an_operator_is_built_on_an_image_from_a_dockerfile_of_its_own(programs: Programs, tmp_path: Path) -> None:
    programs.add("docker")
    build.derive("localhost/other:1", "localhost/foo-operator:dev", tmp_path, Builder(Program.DOCKER))
    (call,) = [call for call in programs.calls() if call[1] == "build"]
    assert call[call.index("--tag") + 1] == "localhost/other:1"
    assert call[call.index("--file") + 1] == str(tmp_path / "Dockerfile")
    assert "BASE_IMAGE=localhost/foo-operator:dev" in call
    assert call[-1] == str(tmp_path)


def test_a_dockerfile_of_ones_own_may_mount_this_machines_settings_for_pip(
    programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tmp_path / "pip.conf"
    settings.touch()
    monkeypatch.setenv("PIP_CONFIG_FILE", str(settings))
    programs.add("docker")
    build.derive("localhost/other:1", "localhost/foo-operator:dev", tmp_path, Builder(Program.DOCKER))
    (call,) = [call for call in programs.calls() if call[1] == "build"]
    assert f"id=pip.conf,src={settings}" in call


def test_the_version_is_the_operators() -> None:
    assert build.version() == reconcile_runner.__version__


def test_without_git_the_commit_is_unknown(programs: Programs) -> None:
    assert build.commit() == "unknown"
    programs.add("git", "echo 0123456789")
    assert build.commit() == "0123456789"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    for directory in (".config/pip", ".pip"):
        (home / directory).mkdir(parents=True)
        (home / directory / "pip.conf").touch()
    return home


def test_the_most_specific_settings_of_pip_are_taken(home: Path, tmp_path: Path) -> None:
    named = tmp_path / "own.conf"
    named.touch()
    assert build.pip_secrets({"PIP_CONFIG_FILE": str(named)}, home)["pip.conf"] == named
    assert build.pip_secrets({"PIP_CONFIG_FILE": "/dev/null"}, home)["pip.conf"] == home / ".config/pip/pip.conf"
    (home / ".config/pip/pip.conf").unlink()
    assert build.pip_secrets({}, home)["pip.conf"] == home / ".pip/pip.conf"


def test_the_certificate_authorities_are_those_that_pip_would_trust(home: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.touch()
    assert build.pip_secrets({"REQUESTS_CA_BUNDLE": str(bundle)}, home)["ca.crt"] == bundle
    other = tmp_path / "pip.pem"
    other.touch()
    assert build.pip_secrets({"REQUESTS_CA_BUNDLE": str(bundle), "PIP_CERT": str(other)}, home)["ca.crt"] == other
