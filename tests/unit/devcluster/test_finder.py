from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconcile_devcluster.binaries import finder, gobuild, pins, sources
from reconcile_devcluster.binaries.archive import cache_entry
from reconcile_devcluster.errors import BinariesUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

NAMES = ["etcd", "kube-apiserver"]
PUBLISHED = pins.Archive(url="http://127.0.0.1/none", sha512="ab" * 64, name="envtest-v0")


@dataclass(slots=True)
class FakeSource:
    """A source that has the programs, or says why not."""

    path: Path | None
    asked: list[Sequence[str]] = field(default_factory=list)

    def find(self, names: Sequence[str]) -> sources.Found:
        self.asked.append(names)
        if self.path is None:
            raise BinariesUnavailableError("the fake has nothing")
        return {name: self.path / name for name in names}


def test_sources_are_asked_in_order_until_one_has_all(capsys: pytest.CaptureFixture[str]) -> None:
    first, second, third = FakeSource(None), FakeSource(Path("/second")), FakeSource(Path("/third"))
    assert sources.find(NAMES, [first, second, third]) == {
        "etcd": Path("/second/etcd"),
        "kube-apiserver": Path("/second/kube-apiserver"),
    }
    assert (len(first.asked), len(second.asked), len(third.asked)) == (1, 1, 0)
    said = capsys.readouterr()
    assert "the fake has nothing" in said.err
    assert "etcd: /second/etcd" in said.err
    assert said.out == ""


def test_when_no_source_has_them_the_error_lists_every_refusal() -> None:
    with pytest.raises(BinariesUnavailableError, match=r"no source has etcd and kube-apiserver") as caught:
        sources.find(NAMES, [FakeSource(None), FakeSource(None)])
    assert str(caught.value).count("the fake has nothing") == 2


def test_the_order_is_variable_path_cache_archive_build() -> None:
    kinds = [type(source) for source in sources.default_sources()]
    assert kinds == [
        sources.AssetsVariable,
        sources.SearchPath,
        sources.Cache,
        sources.PublishedArchive,
        sources.GoBuild,
    ]


def test_the_variable_gives_its_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_program: Callable[[Path, str], Path]
) -> None:
    for name in NAMES:
        make_program(tmp_path / "assets" / name, "exit 0")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path / "assets"))
    assert sources.AssetsVariable().find(NAMES)["etcd"] == tmp_path / "assets" / "etcd"


def test_a_variable_whose_directory_lacks_a_program_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_program: Callable[[Path, str], Path]
) -> None:
    make_program(tmp_path / "assets" / "etcd", "exit 0")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path / "assets"))
    with pytest.raises(BinariesUnavailableError, match="has no kube-apiserver"):
        sources.AssetsVariable().find(NAMES)


def test_an_unset_variable_says_so() -> None:
    with pytest.raises(BinariesUnavailableError, match="KUBEBUILDER_ASSETS is not set"):
        sources.AssetsVariable().find(NAMES)


def test_path_must_have_both_so_that_they_fit_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_program: Callable[[Path, str], Path]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    make_program(tmp_path / "bin" / "etcd", "exit 0")
    with pytest.raises(BinariesUnavailableError, match="PATH has no kube-apiserver"):
        sources.SearchPath().find(NAMES)
    make_program(tmp_path / "bin" / "kube-apiserver", "exit 0")
    assert sources.SearchPath().find(NAMES)["kube-apiserver"] == tmp_path / "bin" / "kube-apiserver"


def test_the_cache_prefers_what_was_built(make_program: Callable[[Path, str], Path]) -> None:
    for name in NAMES:
        make_program(cache_entry(PUBLISHED) / name, "exit 0")
    assert sources.Cache(PUBLISHED).find(NAMES) == {name: cache_entry(PUBLISHED) / name for name in NAMES}
    built = {name: make_program(gobuild.cached_path(pins.GO_PROGRAMS[name]), "exit 0") for name in NAMES}
    assert sources.Cache(PUBLISHED).find(NAMES) == built


def test_an_empty_cache_says_where_it_looked(cache_home: Path) -> None:
    with pytest.raises(BinariesUnavailableError, match=str(cache_home)):
        sources.Cache(PUBLISHED).find(NAMES)


def test_the_archive_is_not_asked_for_a_controller_manager() -> None:
    with pytest.raises(BinariesUnavailableError, match="holds no kube-controller-manager"):
        sources.PublishedArchive(PUBLISHED).find(["kube-controller-manager"])


def test_a_platform_without_archive_says_so() -> None:
    with pytest.raises(BinariesUnavailableError, match="no envtest archive is known"):
        sources.PublishedArchive(None).find(NAMES)


def test_kubectl_comes_from_the_same_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_program: Callable[[Path, str], Path]
) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    program = make_program(tmp_path / "kubectl", "exit 0")
    assert finder.find_kubectl() == program
