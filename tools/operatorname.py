"""The operator's name and image, from the one place that has them: `config/operator/kustomization.yaml`.

kustomize reads the file for `config/default` and `config/prometheus`. Read here by the standard library alone, because
images are built before anything is installed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tools.environment import ROOT

FILE: Final = Path("config/operator/kustomization.yaml")
"""From the checkout."""


@dataclass(frozen=True, slots=True)
class OperatorName:
    """What an operator is called.

    Attributes:
        name: Label `app.kubernetes.io/name`: also the Lease, the `job` of its metrics, and the package of its bundle.
        image: Image that the manifests name.

    """

    name: str
    image: str


def read(checkout: Path = ROOT) -> OperatorName:
    """Return the names. Raises ``ValueError`` where the file lacks one."""
    text = (checkout / FILE).read_text(encoding="utf-8")
    repository, tag = _value(text, "newName"), _value(text, "newTag")
    return OperatorName(_value(text, "app.kubernetes.io/name"), f"{repository}:{tag}")


def _value(text: str, key: str) -> str:
    found = re.search(rf'^[ -]*{re.escape(key)}: *"?([^\s"#]+)', text, re.MULTILINE)
    if found is None:
        raise ValueError(f"{FILE}: found no line with {key}")
    return found[1]


_WRITTEN: Final = {
    "kustomization.yaml": re.compile(r"(^ +- )\S+(?=\.json=dashboard\.json$)", re.MULTILINE),
    "rules.yaml": re.compile(r'(\bjob="|^ +operator: )[^\s",}]+', re.MULTILINE),
}
"""Where the name stands in texts of `config/prometheus` that kustomize does not look into. `dashboard` is made."""


def write_into_monitoring(directory: Path, name: str) -> None:
    """Write the name into the alerts and the file name of the dashboard, in place of the one that is there."""
    for file, place in _WRITTEN.items():
        text = (directory / file).read_text(encoding="utf-8")
        (directory / file).write_text(place.sub(rf"\g<1>{name}", text), encoding="utf-8")


if __name__ == "__main__":
    print(read().name)
