"""The flags of ``rbac``. ``rbaccommand`` does what they ask for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

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
