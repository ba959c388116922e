from __future__ import annotations

import re

import pytest

from reconcile_devcluster.binaries import pins
from reconcile_devcluster.errors import DevclusterError


def test_versions_come_from_go_mod() -> None:
    text = (pins.KUBERNETES.directory / "go.mod").read_text()
    assert re.search(rf"^\tk8s\.io/kubernetes {re.escape(pins.KUBERNETES.version)}\b", text, re.MULTILINE)
    assert re.fullmatch(r"v3\.\d+\.\d+", pins.ETCD.version)


@pytest.mark.parametrize("module", [pins.KUBERNETES, pins.KUBECTL], ids=lambda module: module.name)
def test_every_staging_module_is_replaced_by_the_release_that_belongs_to_kubernetes(module: pins.GoModule) -> None:
    text = (module.directory / "go.mod").read_text()
    replaced = re.findall(r"^\t(k8s\.io/\S+) => (\S+) (\S+)$", text, re.MULTILINE)
    staging_version = pins.KUBERNETES.version.replace("v1.", "v0.", 1)
    assert len(replaced) > 25
    assert all(old == new and version == staging_version for old, new, version in replaced)


def test_the_version_is_linked_into_kubernetes_but_not_into_etcd() -> None:
    assert f"gitVersion={pins.KUBERNETES.version}" in pins.GO_PROGRAMS["kube-apiserver"].ldflags
    assert "gitMinor=" in pins.GO_PROGRAMS["kube-controller-manager"].ldflags
    assert pins.GO_PROGRAMS["kubectl"].ldflags == pins.GO_PROGRAMS["kube-apiserver"].ldflags
    assert pins.GO_PROGRAMS["etcd"].ldflags == "-s -w"


def test_the_cache_name_changes_with_the_pinned_modules(tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.mktemp("module")
    (directory / "go.mod").write_text("module m\n\ngo 1.26.0\n\nrequire example.com/x v1.2.3\n")
    (directory / "go.sum").write_text("one")
    module = pins.GoModule("x", directory, "example.com/x")
    before = module.cache_name
    assert before.startswith(f"x-v1.2.3-{pins.platform_name()}-")
    (directory / "go.sum").write_text("two")
    changed = module.cache_name
    assert changed != before
    (directory / "main.go").write_text("package main\n")
    assert module.cache_name not in {before, changed}
    assert module.go_version == (1, 26, 0)


def test_a_go_mod_without_the_requirement_is_an_error(tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.mktemp("module")
    (directory / "go.mod").write_text("module m\n")
    with pytest.raises(DevclusterError, match=r"go\.mod: nothing matches"):
        _ = pins.GoModule("x", directory, "example.com/x").version


@pytest.mark.parametrize(
    ("text", "expected"),
    [("go1.26.8", (1, 26, 8)), ("v1.34.4", (1, 34, 4)), ("1.26", (1, 26)), ("go1.27rc1", (1, 27))],
)
def test_versions_are_compared_by_their_numbers(text: str, expected: tuple[int, ...]) -> None:
    assert pins.parse_version(text) == expected


def test_what_is_no_version_is_an_error() -> None:
    with pytest.raises(DevclusterError, match="not a version"):
        pins.parse_version("devel")


@pytest.mark.parametrize("platform", sorted(pins.ENVTEST_ARCHIVES))
def test_archives_are_pinned_by_a_whole_sha512_and_named_alike(platform: str) -> None:
    archive = pins.ENVTEST_ARCHIVES[platform]
    assert re.fullmatch(r"[0-9a-f]{128}", archive.sha512)
    assert archive.url.endswith(f"/{archive.name}.tar.gz")
    assert archive.name.endswith(platform)
