"""Jobs for the tests that run real playbooks: the fixture projects, with their inputs written as the operator does."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from reconcile_runner.apimachinery.objects import GroupVersionKind, ObjectKey
from reconcile_runner.execution.job import Job, RunSettings
from reconcile_runner.reconciler.inputdir import InputDir
from tests.support.paths import TESTDATA

PROJECTS = TESTDATA / "projects"
GVK = GroupVersionKind("tutorial.my.domain", "v1", "Foo")
KEY = ObjectKey("default", "foo-01")

# A run's processes are found by its ident, on the whole machine: two sessions of tests at once must not share one.
_idents = itertools.count(os.getpid() * 1_000_000)


def make_job(
    root: Path,
    project: str,
    extra_vars: Mapping[str, Any] | bytes | None = None,
    *,
    key: ObjectKey = KEY,
    timeout: float | None = 50.0,
    env: Mapping[str, str] | None = None,
    cmdline: str = "",
    gather_facts: bool = False,
    max_artifacts: int = 20,
) -> Job:
    """Write the inputs of a run of ``projects/<project>`` (``name.yml``, or ``roles/name``) and return its job."""
    data = extra_vars if isinstance(extra_vars, bytes) else orjson.dumps(dict(extra_vars or {}))
    kubeconfig = "apiVersion: v1\nkind: Config\n"
    settings = RunSettings(
        timeout=timeout,
        gather_facts=gather_facts,
        ansible_args=cmdline,
        environment=dict(env or {}),
        max_artifacts=max_artifacts,
    )
    path = PROJECTS / project
    is_role = path.parent.name == "roles"
    return Job(
        ident=str(next(_idents)),
        private_data_dir=InputDir(root, {}).write(GVK, key, data, kubeconfig, settings),
        playbook=None if is_role else path,
        role=path if is_role else None,
        settings=settings,
    )
