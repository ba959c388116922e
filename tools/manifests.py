"""Build what `config/` describes, and keep `dist/install.yaml` and `dist/bundle/` as it says: `make manifests`.

kubectl does what kustomize does. `bundle` makes the OLM bundle of the same objects, `dashboard` the dashboard;
`operatorname` has the name that all of them carry.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from reconcile_devcluster.binaries.finder import find_kubectl
from tools import bundle, dashboard, operatorname
from tools.environment import ROOT, fail, tell

if TYPE_CHECKING:
    from reconcile_devcluster.api import KubeObject

CONFIG = ROOT / "config"
INSTALL = ROOT / "dist" / "install.yaml"
BUNDLE = ROOT / "dist" / "bundle"

_HEADER = """\
---
# Made from config/default by `make manifests`; change that instead.
"""


def main() -> None:
    """Write everything that is made from `config/`."""
    name = operatorname.read().name
    operatorname.write_into_monitoring(CONFIG / "prometheus", name)
    kubectl = find_kubectl()
    INSTALL.parent.mkdir(exist_ok=True)
    INSTALL.write_text(install_text(kubectl), encoding="utf-8")
    write(BUNDLE, bundle_files(kubectl))
    board = dashboard.render(name, dashboard.documents_url())
    dashboard.DASHBOARD.write_text(board, encoding="utf-8")
    written = (INSTALL, BUNDLE, dashboard.DASHBOARD)
    tell(f"wrote {', '.join(str(path.relative_to(ROOT)) for path in written)}")


def install_text(kubectl: Path, config: Path = CONFIG) -> str:
    """Return the text of `dist/install.yaml`."""
    return _HEADER + build(kubectl, config / "default")


def bundle_files(kubectl: Path, config: Path = CONFIG) -> dict[str, str]:
    """Return the files of the OLM bundle: path below `dist/bundle/` to text."""
    objects = parse(build(kubectl, config / "default"))
    name = operatorname.read(config.parent).name
    return bundle.files(
        name, bundle.read_base(config / "manifests"), objects, parse(build(kubectl, config / "samples"))
    )


def build(kubectl: Path, directory: Path) -> str:
    """Return the objects of a kustomization as YAML; ends the program with kubectl's words where there is a mistake."""
    command = [str(kubectl), "kustomize", str(directory)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if answer.returncode != 0:
        fail(f"{directory}: cannot be built:\n{answer.stderr.strip()}")
    return answer.stdout


def parse(text: str) -> list[KubeObject]:
    """Return the objects of a YAML text, without empty documents."""
    return [document for document in yaml.safe_load_all(text) if document is not None]


def write(directory: Path, files: dict[str, str]) -> None:
    """Make a directory hold exactly these files: path below it to text."""
    shutil.rmtree(directory, ignore_errors=True)
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
