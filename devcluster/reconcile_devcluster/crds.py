"""Install CustomResourceDefinitions and wait until the API server serves them; `foreground` and the tests call it."""

from __future__ import annotations

import http
import json
import time
from typing import TYPE_CHECKING

import yaml

from reconcile_devcluster.api import APPLY_PATCH
from reconcile_devcluster.errors import ApiRequestError, DevclusterError, StartError
from reconcile_devcluster.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from reconcile_devcluster.api import Api, KubeObject

_COLLECTION = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

SERVED_TIMEOUT = 30.0
"""Seconds a definition gets until it is served; the API server needs about one."""

_NOT_YET = (http.HTTPStatus.NOT_FOUND, http.HTTPStatus.TOO_MANY_REQUESTS, http.HTTPStatus.SERVICE_UNAVAILABLE)
"""Statuses that a new kind answers with until it is served."""

_POLL_INTERVAL = 0.1
"""Seconds between two looks at a definition."""


def install(api: Api, path: Path) -> list[str]:
    """Apply all definitions of a file or directory by server-side apply, and wait until each is served.

    Args:
        api: The API server.
        path: A YAML file, or a directory of `*.yaml` files.

    Returns:
        Names of the definitions.

    Raises:
        DevclusterError: A file holds something else, the API server refused it, or it was not served in time.

    """
    names = []
    for file, definition in _definitions(path):
        if not isinstance(definition, dict) or definition.get("kind") != "CustomResourceDefinition":
            found = definition.get("kind") if isinstance(definition, dict) else type(definition).__name__
            raise DevclusterError(f"{file}: found {found}, expected a CustomResourceDefinition")
        name = str(definition["metadata"]["name"])
        api.call("PATCH", f"{_COLLECTION}/{name}?fieldManager=devcluster&force=true", definition, APPLY_PATCH)
        names.append(name)
    for name in names:
        _wait_until_served(api, name)
    return names


def _definitions(path: Path) -> Iterator[tuple[Path, KubeObject]]:
    files = sorted(path.glob("*.yaml")) if path.is_dir() else [path]
    for file in files:
        try:
            for document in yaml.safe_load_all(file.read_text(encoding="utf-8")):
                if document is not None:
                    # What holds itself, or a date, is no object of Kubernetes.
                    json.dumps(document)
                    yield file, document
        except (OSError, yaml.YAMLError, ValueError, TypeError) as error:
            raise DevclusterError(f"{file}: cannot be read: {error}") from error
        except RecursionError as error:
            raise DevclusterError(f"{file}: cannot be read: its values are nested too deeply") from error


def _wait_until_served(api: Api, name: str) -> None:
    deadline = time.monotonic() + SERVED_TIMEOUT
    with Progress(f"waiting for {name}"):
        while (reason := _why_not_served(api, name)) is not None:
            if time.monotonic() > deadline:
                raise StartError(f"{name} was not served within {SERVED_TIMEOUT:.0f} s: {reason}")
            time.sleep(_POLL_INTERVAL)


def _why_not_served(api: Api, name: str) -> str | None:
    """Say what is missing; None when every served version answers.

    An Established definition is not enough: its first requests may still get 404, or 429 "storage is (re)initializing".
    """
    definition = api.call("GET", f"{_COLLECTION}/{name}")
    # A fresh definition has `conditions: null`.
    conditions = definition.get("status", {}).get("conditions") or []
    if not any(one["type"] == "Established" and one["status"] == "True" for one in conditions):
        return "; ".join(f"{one['type']}={one['status']} {one.get('message', '')}" for one in conditions) or "no status"
    spec = definition["spec"]
    for version in (one["name"] for one in spec["versions"] if one["served"]):
        try:
            api.call("GET", f"/apis/{spec['group']}/{version}/{spec['names']['plural']}?limit=1")
        except ApiRequestError as error:
            if error.status not in _NOT_YET:
                raise
            return str(error)
    return None
