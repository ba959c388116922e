"""Other projects' own checkers of what we write for them, built from pinned Go modules: `python -m tests.checkers`.

`make binaries` builds them beforehand; a test that finds none does so itself. The definitions of foreign kinds, against
which a real API server checks ours, come from Go modules, too.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from reconcile_devcluster.binaries import gobuild
from reconcile_devcluster.binaries.gotoolchain import find_go, go_environment
from reconcile_devcluster.binaries.pins import GoModule, GoProgram
from reconcile_devcluster.errors import BinariesUnavailableError

_HERE = Path(__file__).parent

_OLM = "github.com/operator-framework/api"
_PROMETHEUS = GoModule("promcheck", _HERE / "promcheck", "github.com/prometheus/prometheus")

PROMCHECK = GoProgram("promcheck", _PROMETHEUS, ".")
"""Prometheus' parser of alert rules; see its main.go."""

OPERATOR_VERIFY = GoProgram(
    "operator-verify", GoModule("operator-verify", _HERE / "operator-verify", _OLM), f"{_OLM}/cmd/operator-verify"
)
"""What the operator-framework checks of an OLM bundle."""

KSTATUS = GoProgram("kstatus", GoModule("kstatus", _HERE / "kstatus", "sigs.k8s.io/cli-utils"), ".")
"""By which Flux, Helm and kpt conclude whether an object is ready; see its main.go."""

BUILD_TIMEOUT = 600
"""Seconds for a test that may have to build one of them first."""


@dataclass(frozen=True, slots=True)
class PublishedModule:
    """A Go module at one version, of which files are wanted.

    Attributes:
        path: Module path.
        version: For example `v0.85.0`.
        digest: Its content, as Go writes it into go.sum.

    """

    path: str
    version: str
    digest: str

    def directory(self) -> Path:
        """Return where its files are; downloads it the first time.

        Raises:
            BinariesUnavailableError: It cannot be had, or it is not what was pinned.

        """
        # The digest is pinned here, so nobody else needs to be asked about it.
        environment = go_environment() | {"GOFLAGS": "-mod=mod", "GONOSUMDB": self.path}
        command = [str(find_go((1, 21))), "mod", "download", "-json", f"{self.path}@{self.version}"]
        with tempfile.TemporaryDirectory() as empty:
            answer = subprocess.run(command, cwd=empty, env=environment, capture_output=True, text=True, check=False)
        found = json.loads(answer.stdout) if answer.stdout else {}
        if found.get("Sum") != self.digest:
            problem = found.get("Error") or answer.stderr.strip() or f"found {found.get('Sum')}"
            raise BinariesUnavailableError(f"{self.path}@{self.version}: {problem}, expected {self.digest}")
        return Path(found["Dir"])


PROMETHEUS_OPERATOR = PublishedModule(
    "github.com/prometheus-operator/prometheus-operator",
    "v0.85.0",
    "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
)
OPERATOR_FRAMEWORK = PublishedModule(_OLM, "v0.34.0", "h1:REiEaYhG1CWmDoajdcAdZqtgoljWG+ixMY59vUX5pFI=")


def build(program: GoProgram) -> Path:
    """Return the path of a checker; builds it the first time."""
    return gobuild.build([program])[program.name]


def main() -> None:
    """Get everything that the tests would otherwise get."""
    for program in (PROMCHECK, OPERATOR_VERIFY, KSTATUS):
        build(program)
    for module in (PROMETHEUS_OPERATOR, OPERATOR_FRAMEWORK):
        module.directory()
