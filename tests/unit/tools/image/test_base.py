from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.tools.image.programs import Programs
from tools.image import base
from tools.image.builder import Builder, BuilderError, Program


def test_only_a_named_suite_is_made_here() -> None:
    assert base.is_own("mmdebstrap:trixie")
    assert not base.is_own("docker.io/library/debian:trixie-slim")


def test_a_base_that_is_there_is_not_made_again(programs: Programs) -> None:
    programs.add("buildah", 'echo "80 MB"')
    assert base.make("mmdebstrap:trixie", Builder(Program.BUILDAH)) == "localhost/mmdebstrap:trixie"
    assert [call[:2] for call in programs.calls()] == [["buildah", "images"]]


def test_a_base_is_made_of_the_suite_and_given_to_the_builder(programs: Programs) -> None:
    programs.add("buildah", '[ "$1" != images ]')
    programs.add("mmdebstrap", 'for last in "$@"; do :; done; : >"$last"')
    base.make("mmdebstrap:bookworm", Builder(Program.BUILDAH))
    calls = programs.calls()
    assert [call[0] for call in calls] == ["buildah", "mmdebstrap", "buildah"]
    assert calls[1][-2] == "bookworm"
    assert calls[2][calls[2].index("--tag") + 1] == "localhost/mmdebstrap:bookworm"


def test_a_fresh_base_is_made_though_there_is_one(programs: Programs) -> None:
    programs.add("buildah", 'echo "80 MB"')
    programs.add("mmdebstrap")
    base.make("mmdebstrap:trixie", Builder(Program.BUILDAH), fresh=True)
    assert [call[0] for call in programs.calls()] == ["mmdebstrap", "buildah"]


def test_a_base_that_cannot_be_made_says_why(programs: Programs) -> None:
    programs.add("buildah", "exit 1")
    with pytest.raises(BuilderError, match="mmdebstrap is not installed"):
        base.make("mmdebstrap:trixie", Builder(Program.BUILDAH))
    programs.add("mmdebstrap", "echo 'E: no such suite'; exit 25")
    with pytest.raises(BuilderError, match=r"(?s)exit code 25.*E: no such suite"):
        base.make("mmdebstrap:trixie", Builder(Program.BUILDAH))


def test_licences_stay_in_the_base() -> None:
    command = base.command("mmdebstrap:trixie", Path("/tmp/base.tar"))
    assert command.index("--dpkgopt=path-exclude=/usr/share/doc/*") < command.index(
        "--dpkgopt=path-include=/usr/share/doc/*/copyright"
    )
