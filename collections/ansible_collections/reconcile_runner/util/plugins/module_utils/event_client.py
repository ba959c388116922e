# Copyright: (c) The authors of ansible-reconcile-runner
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt), or, as you choose,
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0

"""Writes an Event: creates it, or counts one more occurrence of it, and reads again when somebody else was faster.

``k8s_event`` calls ``record`` or ``remove``. Requests go through ``api``; what to write is the business of
``event.Occurrence``. Every failure leaves here as ``api.RequestError``.
"""

from __future__ import annotations

from functools import partial

from ansible_collections.reconcile_runner.util.plugins.module_utils import api as _api

# An object that cannot be looked up does not keep the Event from being written: it only lacks the object's uid.
_NOT_TO_BE_HAD = ("NotFound", "Forbidden")


def event_target(name, namespace):
    """Return the Event of that name."""
    return _api.Target("v1", "Event", name, namespace)


def complete_reference(client, involved, namespace):
    """Return the reference to an object with what the task left out: namespace, uid and resourceVersion.

    ``kubectl describe`` finds Events by the uid. Where it is given, nothing is asked; where the object is not to be had
    (it is gone, or may not be read), the reference stays as it is.

    :param namespace: the Event's, and so the object's, if its kind is namespaced.
    """
    if involved.get("uid") and "namespace" in involved:
        return involved
    target = _api.Target(involved["apiVersion"], involved["kind"], involved["name"], involved.get("namespace"))
    try:
        resource = _api.find_resource(client, target)
        if resource.namespaced:
            target.namespace = target.namespace or namespace
            involved = {**involved, "namespace": target.namespace}
        if involved.get("uid"):
            return involved
        metadata = _api.read(client, resource, target)["metadata"]
    except _api.RequestError as exc:
        if exc.reason in _NOT_TO_BE_HAD:
            return involved
        raise
    return {"resourceVersion": metadata["resourceVersion"], **involved, "uid": metadata["uid"]}


def record(client, target, occurrence, *, new):
    """Write the Event and return it.

    :param occurrence: what happened: ``event.Occurrence``.
    :param new: whether the name is known to be free, so that nothing needs to be read.
    :raises RequestError: forbidden, refused, or still in conflict.
    """
    resource = _api.find_resource(client, target)
    if new:
        return _create(client, resource, target, occurrence)
    # Not found: it was deleted since it was read.
    codes = (_api.CONFLICT, _api.NOT_FOUND)
    return _api.retry_on_conflict(partial(_count_up, client, resource, target, occurrence), codes)


def _count_up(client, resource, target, occurrence):
    prior = _api.read_if_there(client, resource, target)
    if prior is None:
        return _create(client, resource, target, occurrence)
    return _update(client, resource, target, occurrence, prior)


def _create(client, resource, target, occurrence):
    body = {
        "apiVersion": target.api_version,
        "kind": target.kind,
        "metadata": {"name": target.name, "namespace": target.namespace},
        **occurrence.body(None, _api.now()),
    }
    return _api.send(target, "create", client.create, resource, body, namespace=target.namespace)


def _update(client, resource, target, occurrence, prior):
    """Patch it under the version that was read, so that two who count at once are both counted."""
    body = {
        "metadata": {"resourceVersion": prior["metadata"]["resourceVersion"]},
        **occurrence.body(prior, _api.now()),
    }
    return _api.send(
        target,
        "update",
        client.patch,
        resource,
        body,
        name=target.name,
        namespace=target.namespace,
        content_type=_api.MERGE_PATCH,
    )


def remove(client, target):
    """Delete the Event; return it as it was, or None where there was none."""
    resource = _api.find_resource(client, target)
    prior = _api.read_if_there(client, resource, target)
    if prior is None:
        return None
    try:
        _api.send(target, "delete", client.delete, resource, name=target.name, namespace=target.namespace)
    except _api.RequestError as exc:
        if exc.code == _api.NOT_FOUND:
            return None
        raise
    return prior
