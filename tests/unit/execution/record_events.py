"""Records the events of real runs for the unit tests: ``python -m tests.unit.execution.record_events [CORE…]``.

What differs from machine to machine is replaced, so that a new recording differs only where Ansible does.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from reconcile_runner.execution.pool import SubprocessEngine
from tests.support import cores
from tests.support.jobs import make_job
from tests.support.paths import EVENTS, REPOSITORY

PROJECTS = ("failed", "rescued", "always_fails", "ignored_then_failed", "loop_fails", "command_fails", "no_log",
            "unreachable", "missing_role", "requeue")  # fmt: skip

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\.\d+(\+00:00)?")


async def main() -> None:
    for core in sys.argv[1:] or cores.SUPPORTED:
        playbook = cores.ansible_playbook(core)
        engine = SubprocessEngine(playbook)
        await engine.start()
        with tempfile.TemporaryDirectory() as root:
            for project in PROJECTS:
                job = make_job(Path(root), f"{project}.yml", {"secret": "hidden"}, timeout=None)
                await engine.run(job, lambda _event: None)
                recorded = job.private_data_dir / "artifacts" / job.ident / "job_events"
                _write(
                    core, project, recorded, {str(job.private_data_dir): "/runner", str(playbook.parents[1]): "/venv"}
                )
        await engine.stop()


def _write(core: str, project: str, recorded: Path, places: dict[str, str]) -> None:
    files = sorted(recorded.glob("*.json"), key=lambda path: int(path.name.partition("-")[0]))
    events: list[dict[str, Any]] = [json.loads(path.read_bytes()) for path in files]
    text = "".join(f"{json.dumps(event, sort_keys=True)}\n" for event in events if not _is_greeting(event))
    for place, name in {**places, str(REPOSITORY): "/project", str(Path.home()): "/home/user"}.items():
        text = text.replace(place, name)
    target = EVENTS / core / f"{project}.jsonl"
    target.parent.mkdir(exist_ok=True)
    target.write_text(_numbered(text), encoding="utf-8")


def _is_greeting(event: dict[str, Any]) -> bool:
    """Tell whether an event is one of the lines that every run begins with."""
    return event["event"] == "verbose" and str(event["stdout"]).startswith("\x1b[0;34m")


def _numbered(text: str) -> str:
    numbers = itertools.count(1)
    names: dict[str, str] = {}

    def name(match: re.Match[str]) -> str:
        return names.setdefault(match[0], f"00000000-0000-0000-0000-{next(numbers):012}")

    text = _TIME.sub("2026-01-01T00:00:00.000000+00:00", _UUID.sub(name, text))
    text = re.sub(r"\d:\d\d:\d\d\.\d{6}", "0:00:00.000000", text)
    text = re.sub(r'"(duration|start|end)": [\d.]+', r'"\1": 1.0', text)
    return re.sub(r'"(pid|runner_ident)": "?\d+"?', r'"\1": 1', text)


if __name__ == "__main__":
    asyncio.run(main())
