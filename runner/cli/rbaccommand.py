"""``rbac``: its flags, and how they become a manifest on standard output. Reference: docs/cli.md, docs/rbac.md."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final, TypeAlias

import typer

from runner import rbac
from runner.cli.values import NAMESPACE_NAME, OBJECT_NAME
from runner.client import connect
from runner.clock import SystemClock
from runner.discovery import Discovery, Resource
from runner.errors import ConfigError
from runner.objects import KubeObject
from runner.watches import Watch
from runner.watchesfile import Lookup, load

Name: TypeAlias = Annotated[
    str,
    typer.Option(
        "--name",
        metavar="NAME",
        help="Name of the role.",
        show_default="manager-role; leader-election-role with --leader-election-id",
    ),
]
Namespaces: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--namespace",
        metavar="NAMESPACE",
        help="Print a Role for this namespace in place of a ClusterRole; may be given more than once.",
    ),
]
Crds: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--crds",
        metavar="DIRECTORY",
        help="Where CRDs are that say how kinds are served.",
        show_default="crds, where that is",
    ),
]
Kubeconfig: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--kubeconfig", metavar="FILE", help="Ask this cluster how kinds are served.", show_default="none is asked"
    ),
]
LeaderElectionId: TypeAlias = Annotated[
    str,
    typer.Option(
        "--leader-election-id",
        metavar="NAME",
        help="Print what is needed for the Lease of this name, and nothing else.",
    ),
]

ROLE_NAME: Final = "manager-role"
ELECTION_ROLE_NAME: Final = "leader-election-role"
_DEFAULT_CRDS: Final = Path("crds")


def check_names(name: str, namespaces: Sequence[str], lease: str) -> None:
    """Check what becomes a name in the manifest. Raises ``ConfigError``."""
    for flag, text in (("--name", name), ("--leader-election-id", lease)):
        if text and not OBJECT_NAME.fullmatch(text):
            raise ConfigError(f"{flag}: found {text!r}, expected lower-case letters, digits, '-' and '.'")
    for text in namespaces:
        if not NAMESPACE_NAME.fullmatch(text):
            raise ConfigError(f"--namespace: found {text!r}, expected the name of a namespace")


def manifest_of_watches(
    watches_file: Path,
    environ: Mapping[str, str],
    lookup: Lookup,
    kinds: rbac.Kinds,
    report: rbac.Report,
    name: str,
    namespaces: Sequence[str],
) -> str:
    """Return the manifest. Raises ``WatchesFileError``."""
    loaded = load(watches_file, environ, lookup)
    for warning in loaded.warnings:
        report.add(None, str(warning))
    needs = rbac.needs_of_watches(loaded.watches, kinds, lookup, report)
    return rbac.text(_comment(loaded.watches), _roles(needs, name or ROLE_NAME, namespaces))


def manifest_of_election(lease: str, name: str, namespaces: Sequence[str]) -> str:
    """Return the manifest of what a Lease needs: a Role, whose namespace may be left to whoever applies it."""
    rules = rbac.rules_of(rbac.needs_of_election(lease))
    roles = [rbac.role(name or ELECTION_ROLE_NAME, rules, namespace) for namespace in namespaces]
    if not roles:
        roles = [rbac.role(name or ELECTION_ROLE_NAME, rules) | {"kind": "Role"}]
    return rbac.text(f"What `python -m runner rbac` says that the Lease {lease} needs.", roles)


def kinds_of(crds: Path | None, kubeconfig: Path | None, report: rbac.Report) -> rbac.Kinds:
    """Return how kinds are served. Raises ``ConfigError``, or what a cluster that is asked answers."""
    directory = _DEFAULT_CRDS if crds is None and _DEFAULT_CRDS.is_dir() else crds
    found = [] if directory is None else rbac.resources_of_crds(directory)
    if kubeconfig is not None:
        found += asyncio.run(_served(kubeconfig))
    return rbac.Kinds(found, report)


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
    return f"What `python -m runner rbac` says that the watches of {kinds} need. Make it anew when roles change."
