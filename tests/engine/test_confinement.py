"""What a role can reach past its proxy, as the user that the operator is: nothing; all of it without the defence."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from reconcile_runner.execution import confinement
from reconcile_runner.execution.forkserver.engine import ForkserverEngine
from reconcile_runner.execution.job import Job
from reconcile_runner.execution.pool import Engine, SubprocessEngine
from tests.support.jobs import make_job

pytestmark = pytest.mark.timeout(180)

SECRET = "only-for-the-operator"
WAYS = {"filter", "module", "program"}

MakeEngine = Callable[[tuple[str, ...] | None], Engine]


@pytest.fixture(params=["forkserver", "subprocess"])
def make_engine(request: pytest.FixtureRequest) -> MakeEngine:
    if request.param == "subprocess":
        return lambda hidden: SubprocessEngine(hidden=hidden)
    return lambda hidden: ForkserverEngine(hidden=hidden)


@pytest.fixture
def token(tmp_path: Path) -> Path:
    """Make a token as the kubelet mounts it: a link to a directory that changes, beside what anyone may read."""
    mounted = tmp_path / "serviceaccount"
    (mounted / "..1").mkdir(parents=True)
    (mounted / "..1" / "token").write_text(SECRET)
    (mounted / "..1" / "namespace").write_text("team-a")
    (mounted / "..data").symlink_to("..1")
    for name in ("token", "namespace"):
        (mounted / name).symlink_to(Path("..data", name))
    return mounted / "token"


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    path = tmp_path / "home" / ".kube" / "config"
    path.parent.mkdir(parents=True)
    path.write_text(f"token: {SECRET}\n")
    return path


@pytest.fixture
def open_secret(tmp_path: Path) -> Iterator[int]:
    """Return a descriptor of a file that this process, the operator here, has open and that has no name."""
    path = tmp_path / "open"
    path.write_text(SECRET)
    with path.open("rb") as file:
        path.unlink()
        yield file.fileno()


async def ran(engine: Engine, job: Job) -> None:
    await engine.start()
    try:
        result = await engine.run(job, lambda _event: None)
    finally:
        await engine.stop()
    assert result.succeeded, result.message


async def seen(engine: Engine, root: Path, paths: list[str]) -> dict[str, dict[str, Any]]:
    """Return what a role's filter, module and program see at each path."""
    report = root / "report.json"
    extra_vars = {"paths": paths, "report": str(report)}
    await ran(engine, make_job(root / "runs", "wayaround/look.yml", extra_vars, timeout=None))
    found: dict[str, dict[str, Any]] = orjson.loads(report.read_bytes())
    assert set(found) == WAYS
    return found


def of_operator(descriptor: int) -> list[str]:
    return [f"/proc/{os.getpid()}/{name}" for name in ("environ", "mem", f"fd/{descriptor}", "maps")]


async def test_a_role_reads_neither_credentials_nor_processes_of_the_operator(
    make_engine: MakeEngine, tmp_path: Path, token: Path, kubeconfig: Path, open_secret: int
) -> None:
    if problems := confinement.problems([str(token), str(kubeconfig)]):
        pytest.skip(f"this machine cannot confine runs: {problems}")
    hidden, processes = [str(token), str(token.resolve()), str(kubeconfig)], of_operator(open_secret)
    namespace = str(token.with_name("namespace"))
    engine = make_engine((str(token), str(kubeconfig)))
    for way, found in (await seen(engine, tmp_path, [*hidden, *processes, namespace])).items():
        assert [found[path] for path in hidden] in (["refused: Permission denied"] * 3, [""] * 3), way
        assert [found[path] for path in processes] == ["refused: Permission denied"] * len(processes), way
        assert found[namespace] == "team-a", way
        assert SECRET not in str(found), way


async def test_all_of_it_is_readable_where_runs_are_not_confined(
    make_engine: MakeEngine, tmp_path: Path, token: Path, kubeconfig: Path, open_secret: int
) -> None:
    paths = [str(token), str(kubeconfig), *of_operator(open_secret)]
    for way, found in (await seen(make_engine(None), tmp_path, paths)).items():
        assert not [found[path] for path in paths if found[path].startswith("refused")], way
        assert str(found).count(SECRET) == len(["token", "kubeconfig", "descriptor"]), way


async def test_a_run_has_no_descriptor_of_the_operator(
    make_engine: MakeEngine, tmp_path: Path, token: Path, open_secret: int
) -> None:
    mine = {os.path.realpath(each) for each in Path("/proc/self/fd").iterdir()}
    sockets = {each for each in mine if "socket:" in each or str(tmp_path) in each}
    assert any("(deleted)" in each for each in sockets)
    for way, found in (await seen(make_engine((str(token),)), tmp_path, [])).items():
        assert not sockets & set(found["descriptors"]), way


async def test_a_confined_run_reads_what_it_makes_and_moves_it(
    make_engine: MakeEngine, tmp_path: Path, token: Path, kubeconfig: Path
) -> None:
    made = tmp_path / "home" / "made"
    job = make_job(tmp_path / "runs", "wayaround/make.yml", {"made": str(made)}, timeout=None)
    await ran(make_engine((str(token), str(kubeconfig))), job)
    assert (made / "below" / "moved").read_text() == "made by the run"
