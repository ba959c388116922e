"""The operator with runs that go round the proxy: ``python -m tools.bench.directoperator run …``, with its flags.

Everything else is the operator's as it is. ``system`` starts it; the environment variable names the runs' kubeconfig.
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
from tools.bench.directengine import DirectEngine

KUBECONFIG_VARIABLE = "RECONCILE_BENCH_KUBECONFIG"


def _serve(options: Options, watches: tuple[Watch, ...]) -> int:
    kubeconfig = Path(os.environ[KUBECONFIG_VARIABLE]).read_bytes()
    engine = DirectEngine(kubeconfig, choose_engine(options.engine))
    return asyncio.run(run(options, watches, engine))


if __name__ == "__main__":
    main(sys.argv[1:], serve=_serve)
