"""Every unit test is sealed off from the machine; those of the API client share a server that injects faults."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from reconcile_runner.client import HttpClient
from reconcile_runner.reconciler import environment
from tests.support.fakes.faultserver import FaultServer, fault_server
from tests.support.fakes.wire import client_of
from tests.support.sealed import sealed


@pytest_asyncio.fixture
async def server() -> AsyncIterator[FaultServer]:
    async with fault_server() as running:
        yield running


@pytest_asyncio.fixture
async def client(server: FaultServer) -> AsyncIterator[HttpClient]:
    async with client_of(server.url) as made:
        yield made


@pytest.fixture(scope="session")
def empty_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def _no_configuration_of_the_system(monkeypatch: pytest.MonkeyPatch, empty_home: Path) -> None:
    monkeypatch.setattr(environment, "SYSTEM_CONFIG", empty_home / "no-ansible.cfg")


@pytest.fixture(autouse=True)
def _sealed(monkeypatch: pytest.MonkeyPatch, empty_home: Path) -> Iterator[None]:
    with sealed(monkeypatch, empty_home):
        yield
