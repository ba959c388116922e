"""What ansible-runner keeps of a run, with what is each run's own masked, to hold one run against another."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any

from reconcile_runner.execution.job import Job

_MASKED = [
    # A traceback's line in a payload's file has its source, one in a payload that came by standard input has none.
    (
        r'File (\\+)"[^"\\]*AnsiballZ_\w+\.py\1", (line \d+, in [\w<>]+)(\\+n)(?:    [^\\]*\3)*',
        r'File \1"PAYLOAD\1", \2\3',
    ),
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UUID"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)?", "TIME"),
    (r"\d:\d\d:\d\d\.\d+|(?<=Paused for )[\d.]+(?= seconds)", "DURATION"),
    (r"ansible-tmp-[\d.-]+|ansible-local-\w+|ansible_[\w.]+_payload_\w+|ansible-moduletmp-[\w.-]+", "TEMPORARY"),
    (rf"{re.escape(tempfile.gettempdir())}/reconcile-runner-\w+(/tmp)?/\d+/", "TMPDIR/"),
    (r"AnsiballZ_\w+\.py|<stdin>", "PAYLOAD"),
    (r"\bj\d+\.\d+\b", "ASYNC"),
    (r'(\\?)"(inode|atime|mtime|ctime|birthtime|dev|version|pid)\1": ?(\d[\d.]*|\\?"\d+\\?")', r'\1"\2\1": 0'),
    (r'(\\?)"(src|_original_basename)\1": \1"[^"\\]*\1"', r'\1"src\1": \1"SOURCE\1"'),
]


def kept(job: Job) -> list[dict[str, Any]]:
    """Return the events of a job that has run, in their order."""
    files = (job.private_data_dir / "artifacts" / job.ident / "job_events").glob("*.json")
    return sorted((json.loads(path.read_bytes()) for path in files), key=lambda event: int(event["counter"]))


def masked(event: dict[str, Any], root: Path, job: Job) -> dict[str, Any]:
    """Return an event of a job whose directory is below ``root`` without ids, times and names that are made up."""
    for name in ("pid", "runner_ident", "created"):
        event.pop(name, None)
    event.get("event_data", {}).pop("pid", None)
    event.get("event_data", {}).pop("duration", None)
    text = json.dumps(event, sort_keys=True, ensure_ascii=False)
    text = text.replace(str(root), "ROOT").replace(f"artifacts/{job.ident}/", "artifacts/IDENT/")
    for pattern, word in _MASKED:
        text = re.sub(pattern, word, text)
    decoded: dict[str, Any] = json.loads(text)
    return decoded
