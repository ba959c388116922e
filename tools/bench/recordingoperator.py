"""The operator with an engine that records: ``python -m tools.bench.recordingoperator run …``, with its flags.

Everything else is the operator's as it is. ``growth`` starts it; the environment variable says where to record.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from reconcile_runner.cli import main
from reconcile_runner.execution.choice import choose_engine
from reconcile_runner.manager.run import run
from reconcile_runner.options import Options
from reconcile_runner.watches.watch import Watch
from tools.bench.recordingengine import RecordingEngine

SOCKET_VARIABLE = "RECONCILE_BENCH_SOCKET"


def _serve(options: Options, watches: tuple[Watch, ...]) -> int:
    engine = RecordingEngine(Path(os.environ[SOCKET_VARIABLE]), choose_engine(options.engine))
    return asyncio.run(run(options, watches, engine))


if __name__ == "__main__":
    main(sys.argv[1:], serve=_serve)
