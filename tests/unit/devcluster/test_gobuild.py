from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from reconcile_devcluster.binaries import gobuild, pins
from reconcile_devcluster.errors import BinariesUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PROGRAM = pins.GO_PROGRAMS["etcd"]

GO = """
echo "$@ | $GOTOOLCHAIN $GOFLAGS $CGO_ENABLED" >> {log}
case "$1" in
env) echo {version} ;;
list) echo "go: downloading example.com/x v1" >&2; echo a; echo b ;;
build)
    {build}
    while [ "$1" != -o ]; do shift; done
    echo built > "$2"
    echo example.com/x >&2 ;;
esac
"""


@pytest.fixture
def install_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_program: Callable[[Path, str], Path]
) -> Callable[..., Path]:
    """Put a stand-in for `go` first on PATH; returns the log of its calls."""

    def install(version: str = "go1.26.8", build: str = "true") -> Path:
        log = tmp_path / "go.log"
        make_program(tmp_path / "go" / "go", GO.format(log=log, version=version, build=build))
        monkeypatch.setenv("PATH", f"{tmp_path / 'go'}:{os.environ['PATH']}")
        return log

    return install


def _calls(log: Path, command: str) -> list[str]:
    return [line for line in log.read_text().splitlines() if line.startswith(command)]


def test_a_build_lands_in_the_cache_and_is_not_repeated(install_go: Callable[..., Path]) -> None:
    log = install_go()
    found = gobuild.build([PROGRAM])
    assert found == {"etcd": gobuild.cached_path(PROGRAM)}
    assert found["etcd"].read_text() == "built\n"
    gobuild.build([PROGRAM])
    assert len(_calls(log, "build")) == 1


def test_programs_of_two_modules_are_built_side_by_side(install_go: Callable[..., Path], tmp_path: Path) -> None:
    meet = f"touch {tmp_path}/$$; while [ $(ls {tmp_path} | grep -c '^[0-9]*$') -lt 2 ]; do :; done"
    log = install_go(build=meet)
    gobuild.build([PROGRAM, pins.GO_PROGRAMS["kube-apiserver"]])
    assert len(_calls(log, "build")) == 2


@pytest.mark.parametrize(
    ("done", "elapsed", "left"),
    [
        (100, 5.0, ""),
        (0, 60.0, ""),
        (400, 60.0, ", about 2 min left"),
        (900, 60.0, ", about a minute left"),
        (1000, 60.0, ""),
    ],
)
def test_how_long_it_still_takes_is_estimated_once_that_can_be_told(done: int, elapsed: float, left: str) -> None:
    assert gobuild.time_left(done, 1000, elapsed) == left


def test_go_never_downloads_a_toolchain_nor_edits_go_mod(
    install_go: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOFLAGS", "-mod=mod")
    monkeypatch.setenv("GOTOOLCHAIN", "auto")
    log = install_go()
    gobuild.build([PROGRAM])
    assert _calls(log, "build")[0].endswith("| local -mod=readonly 0")


def test_two_builds_at_once_build_once(install_go: Callable[..., Path]) -> None:
    log = install_go(build="sleep 0.2")
    threads = [threading.Thread(target=gobuild.build, args=([PROGRAM],), name=f"build {n}") for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(_calls(log, "build")) == 1


def test_a_failed_build_shows_what_go_said_and_leaves_nothing(install_go: Callable[..., Path]) -> None:
    install_go(build="echo 'no space left on device' >&2; exit 1")
    with pytest.raises(BinariesUnavailableError, match="go build failed for etcd") as caught:
        gobuild.build([PROGRAM])
    assert "no space left on device" in str(caught.value)
    assert [path.name for path in gobuild.cached_path(PROGRAM).parent.iterdir()] == [".lock"]
