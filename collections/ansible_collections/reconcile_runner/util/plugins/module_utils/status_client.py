"""Reads an object, writes its status when that differs, and reads again when somebody else was faster.

``k8s_status`` calls ``connect``, then ``update_status``. The kubernetes.core collection does authentication and
discovery; what to write is the business of ``status.Request``. Every failure leaves here as ``StatusError``.
"""

from __future__ import annotations

import json
import random
import time
from datetime import datetime, timezone

from ansible_collections.kubernetes.core.plugins.module_utils.k8s.client import get_api_client
from ansible_collections.kubernetes.core.plugins.module_utils.k8s.exceptions import CoreException
from ansible_collections.reconcile_runner.util.plugins.module_utils import status as _status

try:
    from kubernetes.config import ConfigException
    from kubernetes.dynamic.exceptions import (
        ConflictError,
        DynamicApiError,
        ResourceNotFoundError,
        ResourceNotUniqueError,
    )
    from urllib3.exceptions import HTTPError
except ImportError:
    # The module's check of its requirements reports it, before anything here is used.
    pass

# As client-go's retry.DefaultRetry: a conflict means that somebody wrote a moment ago, so the next try mostly succeeds.
ATTEMPTS = 5
PAUSE_SECONDS = 0.01

MERGE_PATCH = "application/merge-patch+json"


class StatusError(Exception):
    """The status could not be written.

    :param message: for people; names the kind, namespace and name.
    :param reason: the reason word of Kubernetes (NotFound, Forbidden, Conflict, Invalid …), or None.
    :param code: the HTTP status, or None where no answer was had.
    """

    def __init__(self, message, reason=None, code=None):
        super().__init__(message)
        self.reason = reason
        self.code = code


class Target:
    """One object: its kind, where it is, and the words that messages use for it."""

    def __init__(self, api_version, kind, name, namespace):
        self.api_version = api_version
        self.kind = kind
        self.name = name
        self.namespace = namespace

    @property
    def type_text(self):
        """The kind as messages show it, such as ``tutorial.my.domain/v1 Foo``."""
        return f"{self.api_version} {self.kind}"

    def __str__(self):
        place = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.type_text} {place}"


class Outcome:
    """The object as it is now, its status before, whether a write changed it, and fields the API server dropped."""

    def __init__(self, instance, before, changed, dropped):
        self.instance = instance
        self.before = before
        self.changed = changed
        self.dropped = dropped

    @property
    def after(self):
        """The status as it is now, or in check mode as it would be."""
        return _object_status(self.instance)


def connect(module, target):
    """Return a client of kubernetes.core for the cluster that the task's options or its environment name.

    :raises StatusError: when there is no usable configuration, or the API server cannot be reached or refuses.
    """
    try:
        return get_api_client(module)
    except DynamicApiError as exc:
        raise _api_error(exc, target, "discover the kinds for") from exc
    except HTTPError as exc:
        raise StatusError(f"{target}: cannot reach the API server: {exc}") from exc
    except (CoreException, ConfigException, OSError, ValueError) as exc:
        raise StatusError(f"{target}: no usable configuration of a cluster: {exc}") from exc


def update_status(client, target, request):
    """Make the target's status what the request asks for, with one read, and one write if something differs.

    :param client: ``K8SClient`` of kubernetes.core; in check mode it turns the write into a dry run of the API server.
    :raises StatusError: no such kind, no status subresource, no such object, forbidden, refused or still in conflict.
    """
    resource = _find_resource(client, target)
    instance = _read(client, resource, target)
    for attempt in range(1, ATTEMPTS + 1):
        before = _object_status(instance)
        patch = _status.merge_patch(before, request.target(before, _now()))
        if not patch:
            return Outcome(instance, before, changed=False, dropped=[])
        written = _write(client, resource, target, _body(instance, patch, request))
        if written is not None:
            after = _object_status(written)
            dropped = _status.missing(patch, after, "status")
            return Outcome(written, before, changed=not _status.same(before, after), dropped=dropped)
        if attempt < ATTEMPTS:
            _pause(attempt)
            instance = _read(client, resource, target)
    raise StatusError(
        f"{target}: gave up writing its status after {ATTEMPTS} conflicts: others write the same object all the time",
        reason="Conflict",
        code=409,
    )


def _body(instance, patch, request):
    """Return the merge patch; where it could undo another's write, with the version that it was made for."""
    body = {"status": patch}
    if request.replace or _status.writes_list(patch):
        body["metadata"] = {"resourceVersion": instance["metadata"]["resourceVersion"]}
    return body


def _object_status(instance):
    status = instance.get("status")
    return status if isinstance(status, dict) else {}


def _now():
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _pause(attempt):
    # Jitter, so that two writers that met once do not meet again.
    time.sleep(PAUSE_SECONDS * attempt * random.uniform(0.5, 1.5))  # noqa: S311 no secret depends on it


def _find_resource(client, target):
    def look_up():
        try:
            return client.resource(target.kind, target.api_version)
        except (ResourceNotFoundError, ResourceNotUniqueError) as exc:
            raise StatusError(
                f"{target.type_text}: the cluster has no such kind"
                " (is its CustomResourceDefinition installed, and api_version right?)",
                reason="NotFound",
            ) from exc

    resource = look_up()
    if "status" not in resource.subresources:
        # The discovery cache may be older than the CustomResourceDefinition.
        client.resources.invalidate_cache()
        resource = look_up()
    if "status" not in resource.subresources:
        raise StatusError(
            f"{target.type_text}: this kind has no status subresource"
            " (in a CustomResourceDefinition: 'subresources: {status: {}}' of the version)",
        )
    if resource.namespaced and not target.namespace:
        raise StatusError(f"{target}: this kind is namespaced, so the option namespace is required")
    if not resource.namespaced:
        target.namespace = None
    return resource


def _read(client, resource, target):
    return _request(target, "read", client.get, resource, name=target.name, namespace=target.namespace)


def _write(client, resource, target, body):
    """Return the object after the patch, or None where it was in conflict."""
    try:
        return _request(
            target,
            "write the status of",
            client.patch,
            resource.subresources["status"],
            body,
            name=target.name,
            namespace=target.namespace,
            content_type=MERGE_PATCH,
        )
    except StatusError as exc:
        if isinstance(exc.__cause__, ConflictError):
            return None
        raise


def _request(target, action, call, *args, **kwargs):
    """Send one request and decode its answer.

    :raises StatusError: with the API server's own message.
    """
    try:
        return json.loads(call(*args, serialize=False, **kwargs).data)
    except DynamicApiError as exc:
        raise _api_error(exc, target, action) from exc
    except HTTPError as exc:
        raise StatusError(f"{target}: cannot {action} it: the connection to the API server failed: {exc}") from exc


def _api_error(exc, target, action):
    """Turn an error answer of the API server into a ``StatusError`` that says what was tried on which object."""
    answer = _answer(exc)
    reason = answer.get("reason") or exc.reason
    if exc.status == 404:  # noqa: PLR2004 well-known
        return StatusError(
            f"{target}: not found: it does not exist, or was deleted meanwhile", reason="NotFound", code=exc.status
        )
    words = {401: "not authenticated", 403: "forbidden", 422: "the API server refuses the status as invalid"}
    what = words.get(exc.status, f"HTTP status {exc.status}")
    message = answer.get("message") or exc.reason
    return StatusError(f"{target}: cannot {action} it: {what}: {message}", reason=reason, code=exc.status)


def _answer(exc):
    """Return the Status object of an error answer; proxies in between may answer with something else."""
    try:
        answer = json.loads(exc.body)
    except (TypeError, ValueError):
        return {}
    return answer if isinstance(answer, dict) else {}
