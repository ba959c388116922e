# Copyright: (c) The authors of ansible-reconcile-runner
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt), or, as you choose,
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0

"""Reads an object, writes its status when that differs, and reads again when somebody else was faster.

``k8s_status`` calls ``update_status``. Requests go through ``api``; what to write is the business of
``status.Request``. Every failure leaves here as ``api.RequestError``.
"""

from __future__ import annotations

from functools import partial

from ansible_collections.reconcile_runner.util.plugins.module_utils import api as _api
from ansible_collections.reconcile_runner.util.plugins.module_utils import status as _status


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


def update_status(client, target, request):
    """Make the target's status what the request asks for, with one read, and one write if something differs.

    :param client: ``K8SClient`` of kubernetes.core; in check mode it turns the write into a dry run of the API server.
    :raises RequestError: no such kind, no status subresource, no such object, forbidden, refused or still in conflict.
    """
    resource = _find_resource(client, target)
    try:
        return _api.retry_on_conflict(partial(_update_once, client, resource, target, request))
    except _api.RequestError as exc:
        if exc.code != _api.CONFLICT:
            raise
        raise _api.RequestError(
            f"{target}: gave up writing its status after {_api.ATTEMPTS} conflicts:"
            " others write the same object all the time",
            reason="Conflict",
            code=_api.CONFLICT,
            answer=exc.answer,
        ) from exc


def _update_once(client, resource, target, request):
    instance = _api.read(client, resource, target)
    before = _object_status(instance)
    patch = _status.merge_patch(before, request.target(before, _api.now()))
    if not patch:
        return Outcome(instance, before, changed=False, dropped=[])
    written = _write(client, resource, target, _body(instance, patch, request))
    after = _object_status(written)
    dropped = _status.missing(patch, after, "status")
    return Outcome(written, before, changed=not _status.same(before, after), dropped=dropped)


def _body(instance, patch, request):
    """Return the merge patch; where it could undo another's write, with the version that it was made for."""
    body = {"status": patch}
    if request.replace or _status.writes_list(patch):
        body["metadata"] = {"resourceVersion": instance["metadata"]["resourceVersion"]}
    return body


def _object_status(instance):
    status = instance.get("status")
    return status if isinstance(status, dict) else {}


def _find_resource(client, target):
    resource = _api.find_resource(client, target)
    if "status" not in resource.subresources:
        # The discovery cache may be older than the CustomResourceDefinition.
        client.resources.invalidate_cache()
        resource = _api.find_resource(client, target)
    if "status" not in resource.subresources:
        raise _api.RequestError(
            f"{target.type_text}: this kind has no status subresource"
            " (in a CustomResourceDefinition: 'subresources: {status: {}}' of the version)",
        )
    if resource.namespaced and not target.namespace:
        raise _api.RequestError(f"{target}: this kind is namespaced, so the option namespace is required")
    if not resource.namespaced:
        target.namespace = None
    return resource


def _write(client, resource, target, body):
    """Return the object after the patch."""
    return _api.send(
        target,
        "write the status of",
        client.patch,
        resource.subresources["status"],
        body,
        name=target.name,
        namespace=target.namespace,
        content_type=_api.MERGE_PATCH,
    )
