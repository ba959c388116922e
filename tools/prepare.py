"""Get ready to run: the Python environment and the control plane, side by side, because each takes minutes.

`python3 -m tools.prepare etcd,kube-apiserver kubectl`: each argument names programs that come from one source. It runs
on the Python that the environment is made of; getting the programs needs the standard library alone.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading

from tools.environment import ROOT, VENV, fail, tell

sys.path.insert(0, str(ROOT / "devcluster"))  # Not installed yet the first time.

from reconcile_devcluster.binaries import sources
from reconcile_devcluster.errors import DevclusterError


def main(arguments: list[str]) -> None:
    """Set up `.venv` and the collections, and meanwhile find, download or build the programs."""
    groups = [argument.split(",") for argument in arguments]
    packages = threading.Thread(target=_install, name="packages", daemon=True)
    if not all(_is_here(group) for group in groups):
        tell("the first time takes one minute with downloads, about four where a control plane has to be built")
    packages.start()
    try:
        for group in groups:
            sources.find(group, sources.default_sources())
    except DevclusterError as error:
        fail(str(error))
    packages.join()
    if _failed:
        sys.exit(1)


_failed: list[str] = []
"""Steps that could not be done; each has said why."""


def _install() -> None:
    """Run the steps of `make setup`; their lines are shown as they come."""
    # The second needs pip, which a distribution's Python may lack; the environment that the first has made has it.
    steps = (("tools.setup_venv", sys.executable), ("tools.get_collections", str(VENV / "bin" / "python")))
    for step, python in steps:
        with subprocess.Popen(
            [python, "-m", step], cwd=ROOT, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as process:
            for line in process.stderr or ():
                _show(line)
        if process.returncode != 0:
            _failed.append(step)
            return


def _show(line: str) -> None:
    """Print a line of a step, over whatever progress a terminal's last line shows at the moment."""
    start = "\r\x1b[2K" if sys.stderr.isatty() else ""
    print(f"{start}{line}", end="", file=sys.stderr, flush=True)


def _is_here(programs: list[str]) -> bool:
    for source in sources.local_sources():
        with contextlib.suppress(DevclusterError):
            source.find(programs)
            return True
    return False


if __name__ == "__main__":
    main(sys.argv[1:])
