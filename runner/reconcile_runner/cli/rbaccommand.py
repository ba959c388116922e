"""``rbac``: from its flags to a manifest.

Reference: docs/reference/cli.md, docs/reference/rbac.md.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reconcile_runner import rbac
from reconcile_runner.apimachinery.objects import KubeObject
from reconcile_runner.cli.values import NAMESPACE_NAME, OBJECT_NAME
from reconcile_runner.client import connect
from reconcile_runner.client.discovery import Discovery, Resource
from reconcile_runner.clock import SystemClock
from reconcile_runner.errors import ConfigError
from reconcile_runner.watches.loader import Lookup, load
from reconcile_runner.watches.watch import Watch

ROLE_NAME: Final = "manager-role"
ELECTION_ROLE_NAME: Final = "leader-election-role"
_DEFAULT_CRDS: Final = Path("crds")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the flags say. Empty and None: the flag was not given."""

    watches_file: Path
    lookup: Lookup
    name: str = ""
    namespaces: Sequence[str] = ()
    crds: Path | None = None
    kubeconfig: Path | None = None
    lease: str = ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is printed: the manifest, and what it lacks."""

    text: str
    warnings: Sequence[str] = ()


def manifest(wanted: Wanted) -> Manifest:
    """Return what is to be printed.

    Raises ``ConfigError``, or what a cluster that is asked answers.
    """
    _check_names(wanted)
    if wanted.lease:
        return Manifest(_of_election(wanted))
    unknowns = rbac.Unknowns()
    kinds = _kinds(wanted, unknowns)
    loaded = load(wanted.watches_file, os.environ, wanted.lookup)
    needs = rbac.needs_of_watches(loaded.watches, kinds, wanted.lookup, unknowns)
    roles = _roles(needs, wanted.name or ROLE_NAME, wanted.namespaces)
    return Manifest(rbac.text(_comment(loaded.watches), roles), [*map(str, loaded.warnings), *unknowns.lines])


def _check_names(wanted: Wanted) -> None:
    for flag, text in (("--name", wanted.name), ("--leader-election-id", wanted.lease)):
        if text and not OBJECT_NAME.fullmatch(text):
            raise ConfigError(f"{flag}: found {text!r}, expected lower-case letters, digits, '-' and '.'")
    for text in wanted.namespaces:
        if not NAMESPACE_NAME.fullmatch(text):
            raise ConfigError(f"--namespace: found {text!r}, expected the name of a namespace")


def _of_election(wanted: Wanted) -> str:
    """Return a Role for each namespace; without namespaces, one that names none."""
    rules = rbac.rules_of(rbac.needs_of_election(wanted.lease))
    name = wanted.name or ELECTION_ROLE_NAME
    roles = [rbac.role(name, rules, namespace) for namespace in wanted.namespaces]
    comment = f"What `reconcile-runner rbac` says that the Lease {wanted.lease} needs."
    return rbac.text(comment, roles or [rbac.role(name, rules) | {"kind": "Role"}])


def _kinds(wanted: Wanted, unknowns: rbac.Unknowns) -> rbac.KindTable:
    directory = _DEFAULT_CRDS if wanted.crds is None and _DEFAULT_CRDS.is_dir() else wanted.crds
    found = [] if directory is None else rbac.resources_of_crds(directory)
    if wanted.kubeconfig is not None:
        found += asyncio.run(_served(wanted.kubeconfig))
    return rbac.KindTable(found, unknowns)


async def _served(kubeconfig: Path) -> list[Resource]:
    client = await connect(kubeconfig, environ=os.environ)
    try:
        return await Discovery(client, SystemClock()).preferred(lambda _: True)
    finally:
        await client.close()


def _roles(needs: list[rbac.Need], name: str, namespaces: Sequence[str]) -> list[KubeObject]:
    if not namespaces:
        return [rbac.role(name, rbac.rules_of(needs))]
    rules = rbac.divided_rules_of(needs)
    of_cluster = [rbac.role(name, rules.of_cluster)] if rules.of_cluster else []
    return [*of_cluster, *(rbac.role(name, rules.of_namespace, namespace) for namespace in namespaces)]


def _comment(watches: Sequence[Watch]) -> str:
    kinds = ", ".join(sorted({watch.gvk.kind for watch in watches}))
    return f"What `reconcile-runner rbac` says that the watches of {kinds} need. Make it again when roles change."
