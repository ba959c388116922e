"""Docker, podman or buildah: whichever is there and works. `build` and `base` say what to build, this says how."""

from __future__ import annotations

import enum
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tools.environment import ROOT
from tools.progress import Progress

_PROBE_TIMEOUT: Final = 30.0
"""Seconds a program gets to say that it works."""

_STEP: Final = re.compile(r"(?:STEP \d+/\d+: |#\d+ \[(?:[\w-]+ +)?\d+/\d+\] )(?P<instruction>.+)")
"""An instruction's turn, as buildah and podman, and docker, announce it."""

_LINE: Final = 60
"""Characters of an instruction that are shown."""


class BuilderError(Exception):
    """No builder works, or a build failed; the message says why."""


class Program(enum.StrEnum):
    """What can build images, in the order in which they are tried."""

    DOCKER = "docker"
    PODMAN = "podman"
    BUILDAH = "buildah"


@dataclass(frozen=True, slots=True)
class Recipe:
    """One image to build.

    Attributes:
        tag: Name of the image, with its tag.
        context: Directory that the Dockerfile copies from.
        dockerfile: The Dockerfile.
        target: Stage to build; empty for the last one.
        arguments: Build arguments.
        secrets: Files that are mounted while instructions that ask for them run, by id.
        labels: Labels of the image.
        fresh: Whether nothing of earlier builds is used, and the base is pulled again.

    """

    tag: str
    context: Path
    dockerfile: Path
    target: str = ""
    arguments: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, Path] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class Builder:
    """A program that builds images, found to work."""

    program: Program

    def build(self, recipe: Recipe) -> None:
        """Build an image, showing the instruction that runs. Raises ``BuilderError`` with the end of the output."""
        code, output = _run_shown(f"building {recipe.tag} with {self.program}", self.build_command(recipe))
        if code != 0:
            raise BuilderError(f"{recipe.tag}: {self.program} ended with exit code {code}:\n" + "\n".join(output[-25:]))

    def build_command(self, recipe: Recipe) -> list[str]:
        """Return the command line of a build."""
        command = [self.program, "build", "--file", str(recipe.dockerfile), "--tag", recipe.tag]
        if self.program is not Program.DOCKER:
            # A build needs no container of its own around each instruction, and this works inside containers, too.
            command += ["--isolation=chroot", "--network=host", "--layers"]
        if recipe.target:
            command += ["--target", recipe.target]
        if recipe.fresh:
            command += ["--no-cache"]
        for option, values in (("--build-arg", recipe.arguments), ("--label", recipe.labels)):
            for name, value in values.items():
                command += [option, f"{name}={value}"]
        for name, path in recipe.secrets.items():
            command += ["--secret", f"id={name},src={path}"]
        return [*command, str(recipe.context)]

    def save(self, image: str, archive: Path) -> None:
        """Save an image as a docker-archive; a file that is there is replaced. Raises ``BuilderError``."""
        archive.parent.mkdir(parents=True, exist_ok=True)
        new = archive.with_name(f".{archive.name}.new")
        new.unlink(missing_ok=True)
        try:
            code, output = _run_shown(f"saving {image}", self.save_command(image, new))
            if code != 0:
                raise BuilderError(f"{image}: cannot be saved as {archive}: " + "\n".join(output[-5:]))
            new.replace(archive)
        finally:
            new.unlink(missing_ok=True)

    def save_command(self, image: str, archive: Path) -> list[str]:
        """Return the command line that saves an image."""
        match self.program:
            case Program.DOCKER:
                return ["docker", "save", "--output", str(archive), image]
            case Program.PODMAN:
                return ["podman", "save", "--format", "docker-archive", "--output", str(archive), image]
            case Program.BUILDAH:
                return ["buildah", "push", "--quiet", image, f"docker-archive:{archive}:{image}"]

    def size(self, image: str) -> str:
        """Return an image's size in the builder's words, for example `250 MB`; empty where there is no such image."""
        answer = subprocess.run(
            [self.program, "images", "--format", "{{.Size}}", image],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        # One line for each name that the same image has.
        return next(iter(answer.stdout.splitlines()), "") if answer.returncode == 0 else ""


def find_builder(wanted: str = "") -> Builder:
    """Return the builder that is wanted, or the first that works. Raises ``BuilderError`` that says what was tried."""
    known = [program.value for program in Program]
    if wanted and wanted not in known:
        raise BuilderError(f"BUILDER: found {wanted!r}, expected one of {', '.join(known)}")
    reasons = []
    for program in [Program(wanted)] if wanted else Program:
        reason = why_not(program)
        if reason is None:
            return Builder(program)
        reasons.append(f"{program}: {reason}")
    tried = "; ".join(reasons)
    raise BuilderError(
        f"no program that builds images works here ({tried}); `python -m tools.system_packages image` gets one"
    )


def why_not(program: Program) -> str | None:
    """Return why a builder cannot be used; None where it can."""
    if shutil.which(program) is None:
        return "not installed"
    if program is not Program.DOCKER:
        return _failure([program, "info"])
    # The client of docker is of no use without its daemon, which `version` asks and `--version` does not.
    unreachable = _failure([program, "version"])
    if unreachable is None and _failure([program, "buildx", "version"]) is not None:
        return "its client has no buildx, without which it cannot mount secrets"
    return unreachable


def _failure(probe: Sequence[str]) -> str | None:
    try:
        answer = subprocess.run(
            probe, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=_PROBE_TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        return f"`{' '.join(probe)}` gave no answer within {_PROBE_TIMEOUT:.0f} s"
    if answer.returncode == 0:
        return None
    said = answer.stderr.strip().splitlines()
    return said[-1] if said else f"`{' '.join(probe)}` ended with exit code {answer.returncode}"


def instruction_in(line: str) -> str | None:
    """Return the instruction whose turn a line of a builder's output announces."""
    found = _STEP.search(line)
    return found["instruction"] if found else None


def _run_shown(title: str, command: Sequence[str]) -> tuple[int, list[str]]:
    """Run a program; return its exit code and the lines it printed."""
    lines = []
    environment = {**os.environ, "DOCKER_BUILDKIT": "1", "BUILDKIT_PROGRESS": "plain"}
    with (
        Progress(title, who="image") as progress,
        subprocess.Popen(
            command, cwd=ROOT, env=environment, text=True, errors="replace",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        ) as process,
    ):  # fmt: skip
        for line in process.stdout or ():
            lines.append(line.rstrip())
            instruction = instruction_in(line)
            if instruction:
                progress.update(" ".join(instruction.split())[:_LINE])
        return process.wait(), lines
