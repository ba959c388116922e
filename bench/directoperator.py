"""The operator with runs that go round the proxy: ``python -m bench.directoperator run …``, with the operator's flags.

Everything else is the operator's as it is. ``system`` starts it; the environment variable names the runs' kubeconfig.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from bench.directengine import DirectEngine
from runner import manager
from runner.cli import app, flags
from runner.options import Options
from runner.watches import Watch

KUBECONFIG_VARIABLE = "RECONCILE_BENCH_KUBECONFIG"


def _serve(options: Options, watches: tuple[Watch, ...]) -> int:
    kubeconfig = Path(os.environ[KUBECONFIG_VARIABLE]).read_bytes()
    engine = DirectEngine(kubeconfig, manager.engine_of(options.engine))
    return asyncio.run(manager.run(options, watches, engine))


if __name__ == "__main__":
    app(args=flags.spell_out_booleans(sys.argv[1:]), prog_name="python -m bench.directoperator", obj=_serve)
