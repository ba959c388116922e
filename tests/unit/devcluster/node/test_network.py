from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

import pytest

from reconcile_devcluster.errors import StartError
from reconcile_devcluster.node import network
from reconcile_devcluster.node.network import NodeNetwork
from tests.support.programs import printing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def fake_ip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_program: Callable[[Path, str], Path]) -> Path:
    """Put an `ip` first on PATH that writes its arguments to a file and prints the file `answer`."""
    make_program(tmp_path / "bin" / "ip", f'echo "$@" >> {tmp_path}/calls; {printing(tmp_path / "answer")}')
    make_program(tmp_path / "bin" / "nsenter", 'shift 2; exec "$@"')
    monkeypatch.setenv("PATH", f"{tmp_path}/bin")
    (tmp_path / "answer").write_text("[]")
    return tmp_path


def answer(fake_ip: Path, *objects: dict[str, str]) -> None:
    (fake_ip / "answer").write_text(json.dumps(objects))


def test_addresses_of_two_slots_do_not_overlap() -> None:
    ranges = [one for slot in (0, 1, 255) for one in (NodeNetwork(slot).link_range, NodeNetwork(slot).pod_range)]
    assert not any(one.overlaps(other) for one in ranges for other in ranges if one != other)
    assert NodeNetwork(7).host_address == "10.213.7.1"
    assert NodeNetwork(7).node_address == "10.213.7.2"


def test_the_preferred_slot_is_taken_when_no_route_is_in_its_way(fake_ip: Path) -> None:
    answer(fake_ip, {"dst": "default"}, {"dst": "192.0.2.0/24"}, {"dst": "127.0.0.1"}, {"dst": "128.0.0.0/1"})
    assert network.choose_slot(40) == 40


@pytest.mark.parametrize("taken", ["10.213.40.0/24", "10.214.40.7", "10.213.40.0/30"])
def test_a_slot_whose_range_is_routed_is_passed_over(taken: str, fake_ip: Path) -> None:
    answer(fake_ip, {"dst": taken})
    assert network.choose_slot(40) == 41


def test_slots_are_counted_in_a_circle(fake_ip: Path) -> None:
    answer(fake_ip, {"dst": "10.213.255.0/24"})
    assert network.choose_slot(255) == 0


def test_a_machine_that_routes_everything_has_no_room(fake_ip: Path) -> None:
    answer(fake_ip, {"dst": "10.0.0.0/8"})
    with pytest.raises(StartError, match=r"10\.213\.0\.0/16 and 10\.214\.0\.0/16 have no room"):
        network.choose_slot(0)


def test_the_link_is_made_on_both_sides(fake_ip: Path) -> None:
    network.connect("dcnode1", NodeNetwork(3), "10.0.0.0/24", node_pid=77)
    calls = (fake_ip / "calls").read_text().splitlines()
    assert calls[0] == "link add dcnode1 type veth peer name eth0 netns 77"
    assert "address add 10.213.3.2/24 dev eth0" in calls
    assert calls[-1] == "route add 10.214.3.0/24 via 10.213.3.2"


def test_what_ip_refuses_is_told(fake_ip: Path, make_program: Callable[[Path, str], Path]) -> None:
    make_program(fake_ip / "bin" / "ip", "echo 'RTNETLINK answers: File exists' >&2; exit 2")
    with pytest.raises(StartError, match=r"ip link add dcnode1 .*: RTNETLINK answers: File exists"):
        network.connect("dcnode1", NodeNetwork(3), "10.0.0.0/24", node_pid=77)


def test_only_a_link_that_is_there_is_deleted(fake_ip: Path) -> None:
    answer(fake_ip, {"ifname": "lo"}, {"ifname": "dcnode1"})
    network.disconnect("dcnode2")
    network.disconnect("dcnode1")
    deleted = [call for call in (fake_ip / "calls").read_text().splitlines() if "delete" in call]
    assert deleted == ["link delete dcnode1"]


def test_one_at_a_time_chooses_addresses() -> None:
    entered = threading.Event()

    def second() -> None:
        with network.exclusive():
            entered.set()

    thread = threading.Thread(target=second)
    with network.exclusive():
        thread.start()
        assert not entered.wait(0.2)
    thread.join()
    assert entered.is_set()
