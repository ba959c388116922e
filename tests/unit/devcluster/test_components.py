from __future__ import annotations

from pathlib import Path

from reconcile_devcluster import components
from reconcile_devcluster.layout import DataDirectory

PROGRAM = Path("/bin/program")
DIRECTORY = DataDirectory(Path("/data"))


def _api_server(*, controllers: bool, extra: tuple[str, ...] = ()) -> list[str]:
    return components.api_server_command(PROGRAM, DIRECTORY, port=1234, controllers=controllers, extra=extra)


def test_everything_that_listens_listens_on_loopback_or_a_socket() -> None:
    assert "--bind-address=127.0.0.1" in _api_server(controllers=False)
    assert "--secure-port=0" in components.controller_manager_command(PROGRAM, DIRECTORY)
    listeners = [flag for flag in components.etcd_command(PROGRAM, DIRECTORY) if "-urls=" in flag]
    assert len(listeners) == 4
    assert all("=unix://" in flag for flag in listeners)


def test_rbac_decides_and_no_limit_slows_tests_down() -> None:
    command = _api_server(controllers=False)
    assert "--authorization-mode=RBAC" in command
    assert "--max-requests-inflight=0" in command


def test_service_accounts_are_asked_for_only_where_somebody_creates_them() -> None:
    disabled = "--disable-admission-plugins=ServiceAccount"
    assert disabled in _api_server(controllers=False)
    assert disabled not in _api_server(controllers=True)


def test_further_flags_come_last_so_that_they_win() -> None:
    assert _api_server(controllers=False, extra=("--v=4",))[-1] == "--v=4"


def test_with_a_node_the_api_server_serves_on_the_link_to_it() -> None:
    command = components.api_server_command(
        PROGRAM, DIRECTORY, port=1234, controllers=True, address="10.213.1.1", authorization="Node,RBAC"
    )
    assert {"--bind-address=10.213.1.1", "--advertise-address=10.213.1.1"} <= set(command)
    assert "--authorization-mode=Node,RBAC" in command


def test_the_scheduler_listens_nowhere() -> None:
    command = components.scheduler_command(PROGRAM, Path("/kubeconfig"))
    assert {"--kubeconfig=/kubeconfig", "--secure-port=0", "--leader-elect=false"} <= set(command)
