"""From where the processes of a run import: never from the operator's working directory, and the package where it is.

A file ``yaml.py`` that happens to lie where the operator was started, or an interpreter that has Ansible and not this
package, must not matter.
"""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import sysconfig
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from reconcile_runner.execution.forkserver.engine import ForkserverEngine
from reconcile_runner.execution.job import Job, RunResult
from reconcile_runner.execution.jobevent import JobEvent
from reconcile_runner.execution.pool import Engine, SubprocessEngine
from tests.support.jobs import make_job

STRAY = ("yaml", "json", "ansible", "reconcile_runner", "socket", "ansible_runner", "jinja2")
"""What a launcher, the fork server, Ansible and modules import first."""

ROLE = """\
- ansible.builtin.command: echo command
- ansible.builtin.template: {src: text.j2, dest: "{{ place }}/text", mode: "0600"}
- ansible.builtin.set_fact: {answer: "{{ {'a': 1} | to_nice_yaml }}{{ lookup('ansible.builtin.env', 'HOME') }}"}
- ansible.builtin.slurp: {src: "{{ place }}/text"}
"""


@pytest.fixture
def strays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the operator's working directory one with stray modules; return the file in which they note an import."""
    directory, imported = tmp_path / "work", tmp_path / "imported"
    directory.mkdir()
    for name in STRAY:
        text = f"open({str(imported)!r}, 'a').write({name!r})\nraise ImportError('a stray file was imported')\n"
        (directory / f"{name}.py").write_text(text)
    monkeypatch.chdir(directory)
    return imported


@pytest.fixture(params=[SubprocessEngine, ForkserverEngine], ids=["subprocess", "forkserver"])
async def engine(request: pytest.FixtureRequest, strays: Path) -> AsyncIterator[Engine]:
    assert Path.cwd() == strays.with_name("work")
    engine: Engine = request.param()
    await engine.start()
    yield engine
    await engine.stop()


def a_role(tmp_path: Path) -> Job:
    """Return a job of a role whose tasks use modules, a template, a filter and a lookup."""
    role = tmp_path / "roles" / "small"
    for name, text in (("tasks/main.yml", ROLE), ("templates/text.j2", "{{ place }}\n")):
        (role / name).parent.mkdir(parents=True, exist_ok=True)
        (role / name).write_text(text)
    job = make_job(tmp_path / "runs", "ok.yml", {"place": str(tmp_path)}, gather_facts=True)
    return dataclasses.replace(job, playbook=None, role=role)


async def run(engine: Engine, job: Job) -> RunResult:
    events: list[JobEvent] = []
    result = await engine.run(job, events.append)
    assert result.succeeded, [result.message, *(event.stdout for event in events)]
    return result


def test_a_stray_module_is_imported_by_who_does_not_take_care(strays: Path) -> None:
    subprocess.run([sys.executable, "-c", "import yaml"], check=False, capture_output=True)
    assert strays.read_text() == "yaml"


async def test_modules_in_the_operators_working_directory_are_not_imported(
    engine: Engine, strays: Path, tmp_path: Path
) -> None:
    for _ in range(2):  # from its second run on, a module is known to a fork server
        await run(engine, a_role(tmp_path))
    assert not strays.exists()


@pytest.fixture
def other_playbook(tmp_path: Path) -> Path:
    """Return the ``ansible-playbook`` of an interpreter that has Ansible and not this package."""
    home = tmp_path / "other"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
    python = home / "bin" / "python"
    own = Path(sysconfig.get_path("purelib"))
    packages = home / own.relative_to(sys.prefix)
    for path in own.iterdir():
        if "reconcile" not in path.name and path.suffix != ".pth":
            (packages / path.name).symlink_to(path)
    program = home / "bin" / "ansible-playbook"
    program.write_text(f"#!{python}\nimport sys\nfrom ansible.cli.playbook import main\nsys.exit(main())\n")
    program.chmod(0o700)
    missing = subprocess.run([python, "-c", "import reconcile_runner"], cwd="/", capture_output=True, check=False)
    assert b"No module named 'reconcile_runner'" in missing.stderr
    return program


@pytest.mark.parametrize("safe_path", ["", "1"])
async def test_another_interpreter_finds_the_package_in_the_private_directory_alone(
    other_playbook: Path, strays: Path, tmp_path: Path, safe_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONSAFEPATH", safe_path)
    engine = ForkserverEngine(other_playbook)
    with capture_logs() as lines:
        await engine.start()
        try:
            for _ in range(2):
                await run(engine, a_role(tmp_path))
            assert engine._server is not None
            command = Path(f"/proc/{engine._server.pid}/cmdline").read_bytes().split(b"\0")
        finally:
            await engine.stop()
    assert command[0] == bytes(other_playbook.with_name("python"))
    assert [line["event"] for line in lines] == ["fork server started", "fork server loaded Ansible"]
    assert not strays.exists()
