from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.tools.image.programs import Programs
from tools.image.builder import Builder, BuilderError, Program, Recipe, find_builder, instruction_in

RECIPE = Recipe("localhost/x:dev", Path("/context"), Path("/context/Dockerfile"))


def test_the_first_program_that_works_is_taken(programs: Programs) -> None:
    programs.add("podman")
    programs.add("buildah")
    assert find_builder().program is Program.PODMAN


def test_a_docker_client_without_its_daemon_does_not_count(programs: Programs) -> None:
    programs.add("docker", '[ "$1" = --version ] && exit 0; echo "Cannot connect to the Docker daemon" >&2; exit 1')
    programs.add("buildah")
    assert find_builder().program is Program.BUILDAH


def test_a_docker_client_without_buildx_does_not_count(programs: Programs) -> None:
    programs.add("docker", '[ "$1" = version ] && exit 0; echo "Run docker --help for more information" >&2; exit 1')
    programs.add("buildah")
    assert find_builder().program is Program.BUILDAH
    with pytest.raises(BuilderError, match="docker: its client has no buildx"):
        find_builder("docker")


def test_where_none_works_each_is_named_with_its_reason(programs: Programs) -> None:
    programs.add("docker", 'echo "Cannot connect to the Docker daemon" >&2; exit 1')
    with pytest.raises(BuilderError) as error:
        find_builder()
    assert "docker: Cannot connect to the Docker daemon; podman: not installed; buildah: not installed" in str(
        error.value
    )


def test_the_one_that_is_wanted_is_taken_or_none(programs: Programs) -> None:
    programs.add("podman")
    programs.add("buildah")
    assert find_builder("buildah").program is Program.BUILDAH
    with pytest.raises(BuilderError, match=r"docker: not installed\)"):
        find_builder("docker")
    with pytest.raises(BuilderError, match="BUILDER: found 'kaniko', expected one of docker, podman, buildah"):
        find_builder("kaniko")


@pytest.mark.parametrize("program", list(Program))
def test_a_build_names_image_stage_arguments_and_secrets(program: Program) -> None:
    recipe = Recipe(
        "localhost/x:dev", Path("/context"), Path("/context/Dockerfile"), "runner",
        {"BASE_IMAGE": "b:1"}, {"pip.conf": Path("/etc/pip.conf")}, {"version": "1"},
    )  # fmt: skip
    command = Builder(program).build_command(recipe)
    assert command[:2] == [program, "build"]
    assert command[-1] == "/context"
    options = " ".join(command)
    assert "--tag localhost/x:dev" in options
    assert "--target runner" in options
    assert "--build-arg BASE_IMAGE=b:1" in options
    assert "--secret id=pip.conf,src=/etc/pip.conf" in options
    assert "--label version=1" in options
    assert "--no-cache" not in command


def test_a_fresh_build_uses_nothing_of_earlier_ones() -> None:
    recipe = Recipe("localhost/x:dev", Path("/context"), Path("/context/Dockerfile"), fresh=True)
    assert "--no-cache" in Builder(Program.BUILDAH).build_command(recipe)


def test_a_failed_build_ends_with_what_the_program_said(programs: Programs) -> None:
    programs.add("buildah", "echo 'STEP 1/2: RUN false'; echo 'no such package' >&2; exit 3")
    with pytest.raises(BuilderError, match=r"(?s)localhost/x:dev: buildah ended with exit code 3:.*no such package"):
        Builder(Program.BUILDAH).build(RECIPE)


def test_a_saved_image_replaces_the_file_at_once_or_not_at_all(programs: Programs, tmp_path: Path) -> None:
    archive = tmp_path / "images" / "x.tar"
    programs.add("docker", 'echo new >"$3"')
    Builder(Program.DOCKER).save("localhost/x:dev", archive)
    assert archive.read_text() == "new\n"
    programs.add("docker", 'echo half >"$3"; echo "disk full" >&2; exit 1')
    with pytest.raises(BuilderError, match="disk full"):
        Builder(Program.DOCKER).save("localhost/x:dev", archive)
    assert archive.read_text() == "new\n"
    assert [path.name for path in archive.parent.iterdir()] == ["x.tar"]


def test_the_size_is_empty_where_there_is_no_image(programs: Programs) -> None:
    programs.add("podman", 'echo "250 MB"; echo "250 MB"')
    assert Builder(Program.PODMAN).size("localhost/x:dev") == "250 MB"
    programs.add("podman", "exit 125")
    assert Builder(Program.PODMAN).size("localhost/x:dev") == ""


@pytest.mark.parametrize(
    ("line", "instruction"),
    [
        ("STEP 3/9: RUN true", "RUN true"),
        ("[2/4] STEP 3/9: COPY a b", "COPY a b"),
        ("#12 [build 3/9] RUN true", "RUN true"),
        ("#7 [2/3] COPY a b", "COPY a b"),
        ("--> Using cache 1234", None),
        ("Collecting pip", None),
    ],
)
def test_the_instruction_that_runs_is_known(line: str, instruction: str | None) -> None:
    assert instruction_in(line) == instruction
