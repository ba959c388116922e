# Copyright: (c) The authors of ansible-reconcile-runner
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt), or, as you choose,
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0

"""One object of a cluster and the requests about it, with errors that say what was tried on which object.

``status_client`` and ``event_client`` send theirs through here. The kubernetes.core collection does authentication and
discovery. Every failure leaves as ``RequestError``.
"""

from __future__ import annotations

import json
import random
import time
from datetime import datetime, timezone

from ansible_collections.kubernetes.core.plugins.module_utils.k8s.client import get_api_client
from ansible_collections.kubernetes.core.plugins.module_utils.k8s.exceptions import CoreException

try:
    from kubernetes.config import ConfigException
    from kubernetes.dynamic.exceptions import DynamicApiError, ResourceNotFoundError, ResourceNotUniqueError
    from urllib3.exceptions import HTTPError
except ImportError:
    # The module's check of its requirements reports it, before anything here is used.
    pass

# As client-go's retry.DefaultRetry: a conflict means that somebody wrote a moment ago, so the next try mostly succeeds.
ATTEMPTS = 5
PAUSE_SECONDS = 0.01

MERGE_PATCH = "application/merge-patch+json"
NOT_FOUND = 404
CONFLICT = 409


class RequestError(Exception):
    """A request could not be done.

    :param message: for people; names the kind, namespace and name.
    :param reason: the reason word of Kubernetes (NotFound, Forbidden, Conflict, Invalid …), or None.
    :param code: the HTTP status, or None where no answer was had.
    :param answer: the answer as ``operator_sdk.util`` and kubernetes.core hand it back (``answer_of``), or None.
    """

    def __init__(self, message, reason=None, code=None, answer=None):
        super().__init__(message)
        self.reason = reason
        self.code = code
        self.answer = answer

    def details(self):
        """Return what a module hands back besides the message: ``reason``, ``code`` and ``error``, as far as known."""
        given = {"reason": self.reason, "code": self.code, "error": self.answer}
        return {key: value for key, value in given.items() if value is not None}


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


def connect(module, target):
    """Return a client of kubernetes.core for the cluster that the task's options or its environment name.

    :raises RequestError: when there is no usable configuration, or the API server cannot be reached or refuses.
    """
    try:
        return get_api_client(module)
    except DynamicApiError as exc:
        raise _error(exc, target, "discover the kinds for") from exc
    except HTTPError as exc:
        raise RequestError(f"{target}: cannot reach the API server: {exc}") from exc
    except (CoreException, ConfigException, OSError, ValueError) as exc:
        raise RequestError(f"{target}: no usable configuration of a cluster: {exc}") from exc


def find_resource(client, target):
    """Return what discovery knows of the target's kind.

    :raises RequestError: when the cluster has no such kind.
    """
    try:
        return client.resource(target.kind, target.api_version)
    except (ResourceNotFoundError, ResourceNotUniqueError) as exc:
        raise RequestError(
            f"{target.type_text}: the cluster has no such kind"
            " (is its CustomResourceDefinition installed, and api_version right?)",
            reason="NotFound",
        ) from exc


def read(client, resource, target):
    """Return the target as the API server has it now."""
    return send(target, "read", client.get, resource, name=target.name, namespace=target.namespace)


def read_if_there(client, resource, target):
    """Return the target as the API server has it now, or None where there is none."""
    try:
        return read(client, resource, target)
    except RequestError as exc:
        if exc.code == NOT_FOUND:
            return None
        raise


def send(target, action, call, *args, **kwargs):
    """Send one request by a method of the client and decode its answer.

    :param action: what is done to the target, for messages: ``read``, ``write the status of``.
    :raises RequestError: with the API server's own message.
    """
    try:
        return json.loads(call(*args, serialize=False, **kwargs).data)
    except DynamicApiError as exc:
        raise _error(exc, target, action) from exc
    except HTTPError as exc:
        raise RequestError(f"{target}: cannot {action} it: the connection to the API server failed: {exc}") from exc


def retry_on_conflict(write, codes=(CONFLICT,)):
    """Return what ``write`` returns; after a conflict call it again, up to ``ATTEMPTS`` times in all.

    :param write: reads, computes and writes, so that a repetition is made for what somebody else wrote.
    :param codes: the HTTP statuses that are conflicts.
    :raises RequestError: any other one, or that of the last attempt.
    """
    for attempt in range(1, ATTEMPTS):
        try:
            return write()
        except RequestError as exc:
            if exc.code not in codes:
                raise
        # Jitter, so that two writers that met once do not meet again.
        time.sleep(PAUSE_SECONDS * attempt * random.uniform(0.5, 1.5))  # noqa: S311 no secret depends on it
    return write()


def now():
    """Return the present time as Kubernetes writes it."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _error(exc, target, action):
    """Turn an error answer of the API server into a ``RequestError`` that says what was tried on which object."""
    answer = _answer(exc)
    reason = answer.get("reason") or exc.reason
    message = answer.get("message") or exc.reason
    if exc.status == NOT_FOUND and action != "create":
        return RequestError(
            f"{target}: not found: it does not exist, or was deleted meanwhile",
            reason="NotFound",
            code=exc.status,
            answer=answer_of(exc),
        )
    words = {401: "not authenticated", 403: "forbidden", 422: "the API server refuses it as invalid"}
    what = words.get(exc.status, f"HTTP status {exc.status}")
    text = f"{target}: cannot {action} it: {what}: {message}"
    return RequestError(text, reason=reason, code=exc.status, answer=answer_of(exc))


def answer_of(exc):
    """Return an error answer in the shape that roles know from ``operator_sdk.util`` and kubernetes.core.

    :param exc: kubernetes' ``DynamicApiError``.
    :returns: ``status`` (the HTTP status), ``reason`` (its phrase, such as ``Not Found``) and ``body`` (text).
    """
    body = exc.body.decode(errors="replace") if isinstance(exc.body, bytes) else exc.body
    return {"status": exc.status, "reason": exc.reason, "body": body}


def _answer(exc):
    """Return the Status object of an error answer; proxies in between may answer with something else."""
    try:
        answer = json.loads(exc.body)
    except (TypeError, ValueError):
        return {}
    return answer if isinstance(answer, dict) else {}
