"""`reconcile-devcluster up|down|status|load|…`: what people type. What it does is in `controlplane` and `node`.

Answers go to stdout, what is going on to stderr. Exit codes: 0 done; 1 an error, or (status) not
serving; 2 wrong usage.
"""

from __future__ import annotations

import enum
import importlib.util
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reconcile_devcluster import controlplane, foreground
from reconcile_devcluster.binaries.finder import find_kubectl, find_programs
from reconcile_devcluster.cluster import ClusterSpec
from reconcile_devcluster.errors import DevclusterError
from reconcile_devcluster.foreground import RunSpec
from reconcile_devcluster.layout import DataDirectory
from reconcile_devcluster.node import images
from reconcile_devcluster.node.files import NodeFiles
from reconcile_devcluster.node.requirements import find_system_programs
from reconcile_devcluster.progress import say

if TYPE_CHECKING:
    from collections.abc import Iterator

app = typer.Typer(
    help="A real etcd and kube-apiserver on this machine, in a data directory of its own.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


class RunCluster(enum.StrEnum):
    """Which cluster `run` uses."""

    OWN = "own"
    CURRENT = "current"


Directory = Annotated[Path, typer.Option("--dir", metavar="DIR", help="Data directory of the control plane.")]
Controllers = Annotated[bool, typer.Option("--controllers", help="Run kube-controller-manager too.")]

WithNode = Annotated[bool, typer.Option("--node", help="Run a real node too (root; implies --controllers).")]

_DEFAULT_DIRECTORY = Path(".devcluster")


@app.command()
def up(directory: Directory = _DEFAULT_DIRECTORY, controllers: Controllers = False, node: WithNode = False) -> None:
    """Start the control plane in the background; nothing happens when it serves already."""
    spec = ClusterSpec(directory.absolute(), controllers=controllers, node=node)
    state = controlplane.up(spec, find_programs)
    say(f"serving at {state.server}")
    say(f"export KUBECONFIG={DataDirectory(spec.directory).kubeconfig}")


@app.command()
def down(directory: Directory = _DEFAULT_DIRECTORY) -> None:
    """Stop the control plane. Its data stays in the data directory."""
    stopped = controlplane.down(directory.absolute())
    say("stopped" if stopped else f"nothing runs in {directory}")


@app.command()
def status(directory: Directory = _DEFAULT_DIRECTORY) -> None:
    """Say what runs; exit code 1 when the control plane does not serve."""
    report = controlplane.status(directory.absolute())
    print(report.text)
    if not report.serving:
        raise typer.Exit(1)


@app.command()
def kubeconfig(directory: Directory = _DEFAULT_DIRECTORY) -> None:
    """Print the path of the administrator's kubeconfig, and nothing else."""
    path = DataDirectory(directory.absolute()).kubeconfig
    if not path.exists():
        raise DevclusterError(f"{path}: not there yet; start a control plane first (up)")
    print(path)


@app.command()
def load(
    image: Annotated[
        str,
        typer.Argument(
            metavar="IMAGE",
            help="A docker-archive or oci-archive, or the name of an image of docker, podman or buildah.",
        ),
    ],
    directory: Directory = _DEFAULT_DIRECTORY,
) -> None:
    """Give an image to the node."""
    files = NodeFiles(DataDirectory(directory.absolute()))
    files.read_pid()  # Without a node, what a node would need is of no interest.
    for name in images.load(files, find_system_programs().ctr, image):
        say(f"loaded {name}")


@app.command("restart-kubelet")
def restart_kubelet(directory: Directory = _DEFAULT_DIRECTORY) -> None:
    """Restart the node's kubelet; its Pods run on."""
    controlplane.restart_kubelet(directory.absolute(), find_programs)


@app.command()
def fetch(
    controllers: Controllers = False,
    node: WithNode = False,
    kubectl: Annotated[bool, typer.Option("--kubectl", help="Get kubectl too.")] = False,
) -> None:
    """Get the binaries without starting anything."""
    find_programs(ClusterSpec(_DEFAULT_DIRECTORY.absolute(), controllers=controllers, node=node))
    if kubectl:
        find_kubectl()


@app.command()
def run(
    directory: Directory = _DEFAULT_DIRECTORY,
    controllers: Controllers = False,
    cluster: Annotated[
        RunCluster, typer.Option(help="A cluster of our own, or your kubeconfig's current context, which is asked for.")
    ] = RunCluster.OWN,
    watches_file: Annotated[Path, typer.Option(metavar="FILE", help="The operator's watches.")] = Path("watches.yaml"),
    crds: Annotated[Path, typer.Option(metavar="DIR", help="CustomResourceDefinitions to install.")] = Path("crds"),
    die_with_parent: Annotated[bool, typer.Option("--die-with-parent", help="Stop when our starter ends.")] = False,
) -> None:
    """Run control plane and operator in the foreground until Ctrl-C."""
    if importlib.util.find_spec(foreground.RUNNER) is None:
        raise DevclusterError("the operator's package is not installed: pip install ansible-reconcile-runner")
    own = ClusterSpec(directory.absolute(), controllers=controllers) if cluster is RunCluster.OWN else None
    foreground.run(RunSpec(own, watches_file, crds, die_with_parent))


@contextmanager
def report_errors() -> Iterator[None]:
    """End with exit code 1 and one message where a traceback would tell the user nothing."""
    try:
        yield
    except (DevclusterError, OSError) as error:
        say(f"error: {error}")
        sys.exit(1)


def main() -> None:
    """Entry point: run the command that the process's arguments ask for, and exit."""
    if sys.platform != "linux":
        say(f"runs on Linux only, found {sys.platform}")
        sys.exit(1)
    with report_errors():
        app(prog_name="reconcile-devcluster")
