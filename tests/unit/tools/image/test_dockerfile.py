"""What the Dockerfile promises, as far as its text shows it; tests/e2e/test_image.py looks at what it makes."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

import pytest

from tools.environment import REQUIREMENTS, ROOT


@dataclass(frozen=True, slots=True)
class Instruction:
    stage: str
    name: str
    text: str


def instructions() -> list[Instruction]:
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.lstrip().startswith("#")]
    found: list[Instruction] = []
    stage = ""
    for text in "\n".join(lines).replace("\\\n", " ").splitlines():
        name, _, rest = text.strip().partition(" ")
        if name == "FROM":
            stage = rest.split()[-1]
        if name:
            found.append(Instruction(stage, name, rest))
    return found


def of(name: str, *stages: str) -> list[str]:
    return [one.text for one in instructions() if one.name == name and (not stages or one.stage in stages)]


def copied(stages: tuple[str, ...] = ("build", "runner", "operator")) -> list[str]:
    """Paths of the checkout that the stages copy."""
    sources = []
    for text in of("COPY", *stages):
        if "--from" not in text:
            sources += [part for part in shlex.split(text)[:-1] if not part.startswith("--")]
    return sources


def test_the_stages_are_in_order_and_the_operator_is_last() -> None:
    assert of("FROM") == ["${BASE_IMAGE} AS base", "base AS build", "base AS runner", "runner AS operator"]


def test_the_default_base_is_a_pinned_public_one() -> None:
    assert re.fullmatch(r"BASE_IMAGE=docker\.io/library/debian:[a-z]+-slim", of("ARG", "")[0])


def test_the_base_for_others_holds_nothing_of_foo() -> None:
    assert not [path for path in copied(("build", "runner")) if re.match(r"roles|playbooks|watches|crds", path)]
    assert {"watches.yaml", "roles/", "playbooks/"} == set(copied(("operator",)))


def test_what_is_copied_exists_and_is_let_through() -> None:
    let_through = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for path in copied():
        assert list(ROOT.glob(path.rstrip("/"))), path
        assert any(path.startswith(prefix.rstrip("/")) for prefix in let_through), path


def test_what_is_let_through_is_copied() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    for prefix in (line[1:] for line in ignored if line.startswith("!")):
        assert any(path.startswith(prefix) for path in copied()), prefix


def test_pip_installs_what_is_hashed_and_compiles_nothing() -> None:
    installs = [text for text in of("RUN") if "install" in text and "/pip " in text]
    locked, own = installs
    assert locked.count(" install ") == locked.count("--only-binary=:all:") == locked.count("--require-hashes") == 3
    assert own.count("--no-deps") == own.count("--no-index") == 2
    assert "--no-build-isolation" in own


def test_there_are_requirements_for_the_python_of_each_base_that_is_named() -> None:
    assert (REQUIREMENTS / "runtime-py313.txt").is_file(), "trixie has Python 3.13"
    assert (REQUIREMENTS / "runtime-py311.txt").is_file(), "bookworm has Python 3.11"


def test_settings_of_pip_are_mounted_and_never_copied() -> None:
    mounting = [text for text in of("RUN") if "--mount=type=secret" in text]
    assert mounting
    assert all("id=pip.conf" in text and "id=ca.crt" in text for text in mounting)
    assert not [path for path in copied() if "pip.conf" in path]


@pytest.mark.parametrize("stage", ["base", "runner", "operator"])
def test_no_compiler_and_no_pip_come_into_a_stage_that_is_shipped(stage: str) -> None:
    assert not re.search(r"\b(gcc|g\+\+|make|build-essential|python3?-(pip|venv|dev))\b", " ".join(of("RUN", stage)))


def test_it_runs_as_upstreams_image_does() -> None:
    environment = dict(part.split("=", 1) for text in of("ENV", "runner") for part in shlex.split(text))
    assert (environment["HOME"], environment["USER_NAME"], environment["USER_UID"]) == (
        "/opt/ansible",
        "ansible",
        "1001",
    )
    assert of("WORKDIR", "runner") == ["${HOME}"]
    assert of("USER", "runner", "operator") == ["${USER_UID}:0"]
    assert of("ENTRYPOINT") == [
        '["/usr/bin/tini", "--", "/usr/local/bin/ansible-operator", "run", "--watches-file=./watches.yaml"]'
    ]


def test_every_place_that_ansible_writes_below_home_is_moved_to_tmp() -> None:
    environment = dict(part.split("=", 1) for text in of("ENV", "runner") for part in shlex.split(text))
    moved = {name: path for name, path in environment.items() if name.startswith("ANSIBLE_")}
    assert {"ANSIBLE_LOCAL_TEMP", "ANSIBLE_REMOTE_TEMP", "ANSIBLE_ASYNC_DIR"} <= set(moved)
    assert all(path.startswith("/tmp") for path in moved.values())
    assert "ANSIBLE_HOME" not in moved, "collections that a Dockerfile installs below HOME are looked for there"


def test_no_registry_is_named_but_the_default_bases() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert re.findall(r"\b[\w-]+(?:\.[\w-]+)*\.(?:io|org|com|net|dev)/", text) == ["docker.io/"]
    assert "://" not in text
    assert "--index-url" not in text
