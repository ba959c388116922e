"""What the operators under test are given: watches, the roles of several sizes, and the kinds they are for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tools.testing.definitions import custom_resource_definition
from tools.testing.operator import REPOSITORY

FOOS = "/apis/tutorial.my.domain/v1/foos"
FOO_CONTROLLER = "foo-v1-tutorial.my.domain-controller"

NOOP_SIZES = (1, 2, 5, 20)
"""Tasks of the roles that do nothing."""

SLEEP = "86400"
"""Seconds for which the role that sleeps would."""

_NOOP_GROUP = "tools.bench.my.domain"


def noop_path(size: int, namespace: str = "") -> str:
    """Return where the objects are whose role has so many tasks."""
    place = f"/namespaces/{namespace}" if namespace else ""
    return f"/apis/{_NOOP_GROUP}/v1{place}/noop{size}s"


def noop_controller(size: int) -> str:
    """Return the name of their controller in metrics."""
    return f"noop{size}-v1-{_NOOP_GROUP}-controller"


def noop_object(size: int, name: str, turn: int) -> dict[str, Any]:
    """Return an object; another ``turn`` makes its role run again."""
    return {
        "apiVersion": f"{_NOOP_GROUP}/v1",
        "kind": f"Noop{size}",
        "metadata": {"name": name},
        "spec": {"turn": turn},
    }


def write_watches(directory: Path) -> Path:
    """Write the repository's watches, and one for each size of role; return the file."""
    foo = _foo_entry()
    noops = [
        {"group": _NOOP_GROUP, "version": "v1", "kind": f"Noop{size}", "role": str(_write_role(directory, size))}
        for size in NOOP_SIZES
    ]
    return _write(directory / "watches.yaml", [foo, *noops])


def write_peer_watches(directory: Path) -> Path:
    """Write the same for an operator that knows no triggers: Foos alone, reconciled by their own changes."""
    foo = {key: value for key, value in _foo_entry().items() if key != "triggers"}
    return _write(directory / "peer-watches.yaml", [foo])


def write_sleeping_watches(directory: Path) -> Path:
    """Write watches whose role, for Foos, starts a program that does not end; return the file."""
    tasks = directory / "roles" / "sleep" / "tasks"
    tasks.mkdir(parents=True)
    _write(tasks / "main.yml", [{"name": "Sleep", "ansible.builtin.command": f"sleep {SLEEP}"}])
    foo = {key: value for key, value in _foo_entry().items() if key not in {"triggers", "vars"}}
    return _write(directory / "sleeping-watches.yaml", [{**foo, "role": str(tasks.parent)}])


def write_crds(directory: Path) -> Path:
    """Write the definitions of the kinds for the roles that do nothing; return their directory."""
    path = directory / "crds"
    path.mkdir()
    for size in NOOP_SIZES:
        _write(path / f"noop{size}.yaml", custom_resource_definition(_NOOP_GROUP, f"Noop{size}"))
    return path


def _foo_entry() -> dict[str, Any]:
    (entry,) = yaml.safe_load((REPOSITORY / "watches.yaml").read_text(encoding="utf-8"))
    return {**entry, "role": str(REPOSITORY / "roles" / entry["role"])}


def _write_role(directory: Path, size: int) -> Path:
    task = {
        "name": "Look for a Pod that is not there",
        "kubernetes.core.k8s_info": {
            "api_version": "v1",
            "kind": "Pod",
            "field_selectors": ["metadata.name=nobody"],
            "metadata_only": True,
        },
    }
    role = directory / "roles" / f"noop{size}"
    (role / "tasks").mkdir(parents=True)
    _write(role / "tasks" / "main.yml", [task] * size)
    return role


def _write(path: Path, content: object) -> Path:
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path
