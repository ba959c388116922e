"""What the tests of the API client share: a server that injects faults, and a client that talks to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from reconcile_runner.client import HttpClient
from tests.support.fakes.faultserver import FaultServer, fault_server
from tests.support.fakes.wire import client_of


@pytest_asyncio.fixture
async def server() -> AsyncIterator[FaultServer]:
    async with fault_server() as running:
        yield running


@pytest_asyncio.fixture
async def client(server: FaultServer) -> AsyncIterator[HttpClient]:
    async with client_of(server.url) as made:
        yield made
