"""Operators written for ansible-core 2.18, unedited, each an image on the base with that core, on a node."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.cluster import Target, load
from tests.e2e.deployed import Deployed, write_overlay
from tests.support.olderoperators import CORE, OPERATORS, OlderOperator
from tests.support.operator_process import Kube
from tools.image.build import RUNNER_IMAGE, Wish, build, derive, with_core
from tools.image.builder import find_builder

pytestmark = pytest.mark.timeout(900)

BASE_IMAGE = os.environ.get("E2E_BASE_IMAGE", "mmdebstrap:trixie")


@pytest.fixture(scope="module")
def base(target: Target) -> str:
    """Build the image with the older core; the builder's cache has it from the second time on."""
    if not target.own:
        pytest.skip("the nodes of another cluster do not have the images that are built here")
    build(Wish(base_image=BASE_IMAGE, core=CORE), find_builder(os.environ.get("BUILDER", "")))
    return with_core(RUNNER_IMAGE, CORE)


@pytest.fixture(scope="module")
def installed(target: Target, base: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Deployed]]:
    """Install all three as their manifests say, with images that are built of their directories."""
    directory = tmp_path_factory.mktemp("older")
    with ExitStack() as stack:
        for older in OPERATORS:
            overlay = write_overlay(
                directory / f"{older.name}-overlay",
                older.directory / "config" / "default",
                image_of(older, base, target, directory / older.name),
                "controller",
            )
            manifest = target.kubectl.run("kustomize", str(overlay))
            target.kubectl.run("apply", "--filename", "-", stdin=manifest)
            stack.callback(target.kubectl.run, "delete", "--wait=false", "--filename", "-", stdin=manifest)
        deployed = {
            older.name: Deployed(
                target.kubectl,
                target.api,
                f"{older.name}-system",
                f"{older.name}-controller-manager",
                lease_name=older.name,
                replicas=1,
            )
            for older in OPERATORS
        }
        for one in deployed.values():
            one.settle()
        yield deployed


def image_of(older: OlderOperator, base: str, target: Target, context: Path) -> str:
    """Build an operator's image from its own Dockerfile, in which the base is named in place of upstream's."""
    shutil.copytree(older.directory, context)
    dockerfile = context / "Dockerfile"
    text, changed = re.subn(r"^FROM .*$", f"FROM {base}", dockerfile.read_text(), flags=re.MULTILINE)
    assert changed == 1
    dockerfile.write_text(text)
    image = f"localhost/{older.name}:e2e"
    derive(image, base, context, find_builder(os.environ.get("BUILDER", "")))
    load(target.directory, image)
    return image


@pytest.mark.parametrize("older", OPERATORS, ids=lambda one: one.name)
def test_it_runs_unedited(installed: dict[str, Deployed], older: OlderOperator, kube: Kube, namespace: str) -> None:
    assert older.name in installed
    sample = older.create(kube.api, namespace)
    older.is_served(sample, namespace)
    if older.is_status_managed:
        sample.succeeds()


def test_the_core_is_the_one_that_they_were_written_for(installed: dict[str, Deployed], target: Target) -> None:
    for one in installed.values():
        (pod,) = one.pods()
        command = ("exec", "--namespace", one.namespace, pod["metadata"]["name"], "--", "ansible-operator", "version")
        assert f'ansible-core version: "{CORE}.' in target.kubectl.run(*command)
