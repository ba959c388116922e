"""The operator reads kubeconfigs without the generated classes of the client, which it leaves whole for others."""

from __future__ import annotations

import importlib
import sys

from tests.support import fresh


def loaded_after_the_client() -> list[str]:
    importlib.import_module("reconcile_runner.client.config")
    return [name for name in sys.modules if name.partition(".")[0] in ("kubernetes", "kubernetes_asyncio")]


def names_of_the_whole_client() -> list[str]:
    before = importlib.import_module("kubernetes_asyncio")
    importlib.import_module("reconcile_runner.client.config")
    assert sys.modules["kubernetes_asyncio"] is before
    client = importlib.import_module("kubernetes.client")
    asynchronous = importlib.import_module("kubernetes_asyncio.client")
    return [client.V1Pod.__name__, client.CoreV1Api.__name__, asynchronous.ApiClient.__name__]


def test_nothing_of_the_client_is_loaded_for_it() -> None:
    assert fresh.call(loaded_after_the_client) == []


def test_who_imports_the_client_gets_all_of_it() -> None:
    assert fresh.call(names_of_the_whole_client) == ["V1Pod", "CoreV1Api", "ApiClient"]
