"""``rbac``: from its flags to a manifest.

Reference: docs/reference/cli.md, docs/reference/rbac.md.
"""

from __future__ import annotations

import asyncio
import os
import sys
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
from reconcile_runner.content.crds import crd_directories
from reconcile_runner.errors import ConfigError
from reconcile_runner.watches.loader import Lookup, load
from reconcile_runner.watches.watch import Watch

ROLE_NAME: Final = "manager-role"
ELECTION_ROLE_NAME: Final = "leader-election-role"
STANDARD_INPUT: Final = Path("-")


@dataclass(frozen=True, slots=True)
class RbacSettings:
    """What the flags say. Empty and None: the flag was not given."""

    watches_file: Path
    lookup: Lookup
    name: str = ""
    namespaces: Sequence[str] = ()
    crds: Path | None = None
    kubeconfig: Path | None = None
    lease: str = ""
    runs: Path | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is printed: the manifest, and what it lacks."""

    text: str
    warnings: Sequence[str] = ()


def manifest(settings: RbacSettings) -> Manifest:
    """Return what is to be printed.

    Raises ``ConfigError``, or what a cluster that is asked answers.
    """
    _check_names(settings)
    if settings.lease:
        return Manifest(_of_election(settings))
    unknowns = rbac.Unknowns()
    kinds = _kinds(settings, unknowns)
    loaded = load(settings.watches_file, os.environ, settings.lookup)
    warnings = [str(warning) for warning in loaded.warnings]
    if settings.runs is None:
        needs = rbac.needs_of_watches(loaded.watches, kinds, settings.lookup, unknowns)
    else:
        needs = rbac.needs_with_runs(loaded.watches, kinds, rbac.needs_of_runs(_text_of(settings.runs), unknowns))
        told = rbac.needs_of_watches(loaded.watches, kinds, settings.lookup, rbac.Unknowns())
        warnings += rbac.difference(told, needs)
    roles = _roles(needs, settings.name or ROLE_NAME, settings.namespaces)
    return Manifest(rbac.manifest_text(_comment(loaded.watches), roles), [*warnings, *unknowns.lines])


def _text_of(runs: Path) -> str:
    try:
        return sys.stdin.read() if runs == STANDARD_INPUT else runs.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--from-runs: {runs} cannot be read: {(error.strerror or str(error)).lower()}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"--from-runs: found bytes in {runs} that are not UTF-8, expected text") from error


def _check_names(settings: RbacSettings) -> None:
    for flag, text in (("--name", settings.name), ("--leader-election-id", settings.lease)):
        if text and not OBJECT_NAME.fullmatch(text):
            raise ConfigError(f"{flag}: found {text!r}, expected lower-case letters, digits, '-' and '.'")
    for text in settings.namespaces:
        if not NAMESPACE_NAME.fullmatch(text):
            raise ConfigError(f"--namespace: found {text!r}, expected the name of a namespace")


def _of_election(settings: RbacSettings) -> str:
    """Return a Role for each namespace; without namespaces, one that names none."""
    rules = rbac.rules_of(rbac.needs_of_election(settings.lease))
    name = settings.name or ELECTION_ROLE_NAME
    roles = [rbac.role_of(name, rules, namespace) for namespace in settings.namespaces]
    comment = f"Rights for the Lease {settings.lease}, made by `reconcile-runner rbac`."
    return rbac.manifest_text(comment, roles or [rbac.role_of(name, rules) | {"kind": "Role"}])


def _kinds(settings: RbacSettings, unknowns: rbac.Unknowns) -> rbac.KindTable:
    found = [it for directory in crd_directories(settings.crds) for it in rbac.resources_of_crds(directory)]
    if settings.kubeconfig is not None:
        found += asyncio.run(_served(settings.kubeconfig))
    return rbac.KindTable(found, unknowns)


async def _served(kubeconfig: Path) -> list[Resource]:
    client = await connect(kubeconfig, environ=os.environ)
    try:
        return await Discovery(client, SystemClock()).preferred(lambda _: True)
    finally:
        await client.close()


def _roles(needs: list[rbac.Need], name: str, namespaces: Sequence[str]) -> list[KubeObject]:
    if not namespaces:
        return [rbac.role_of(name, rbac.rules_of(needs))]
    rules = rbac.divided_rules_of(needs)
    of_cluster = [rbac.role_of(name, rules.of_cluster)] if rules.of_cluster else []
    return [*of_cluster, *(rbac.role_of(name, rules.of_namespace, namespace) for namespace in namespaces)]


def _comment(watches: Sequence[Watch]) -> str:
    kinds = ", ".join(sorted({watch.gvk.kind for watch in watches}))
    return f"Rights for the watches of {kinds}, made by `reconcile-runner rbac`. Make them again when roles change."
