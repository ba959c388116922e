#!/usr/bin/python
# Copyright: (c) The authors of ansible-reconcile-runner
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt), or, as you choose,
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0
# ruff: noqa: E402 Ansible reads the documentation of a module from above its imports.

from __future__ import annotations

DOCUMENTATION = r"""
module: k8s_status
short_description: Sets fields and conditions of a Kubernetes object's status
version_added: 0.1.0
author:
  - The authors of ansible-reconcile-runner (!UNKNOWN)
description:
  - Writes the status subresource of an object of any kind that has one.
  - Meant for roles that implement a controller. Nobody else should write a status.
  - Reads first. Where the object already says what is asked for, nothing is sent and nothing is reported as changed.
  - Takes the options of C(operator_sdk.util.k8s_status) and, but for what the notes say, behaves as it does.
options:
  api_version:
    description:
      - API version of the kind, such as V(apps/v1), or V(tutorial.my.domain/v1).
    type: str
    default: v1
    aliases: [api, version]
  kind:
    description:
      - Kind of the object.
    type: str
    required: true
  name:
    description:
      - Name of the object.
    type: str
    required: true
  namespace:
    description:
      - Namespace of the object. Required for kinds that are namespaced, ignored for the others.
    type: str
  status:
    description:
      - Fields to set in the status. They are merged into it as a JSON merge patch says (RFC 7396). A mapping is merged
        field by field, a null removes the field, anything else takes the place of what was there.
      - A list named C(conditions) in it is treated as O(conditions) is, and may hold fields that O(conditions) does not
        know.
      - At least one of O(status) and O(conditions) is required.
    type: dict
  conditions:
    description:
      - Conditions to set. Each takes the place of the object's condition of the same type. Conditions of other types
        stay as they are, unless O(replace=true).
      - C(type) and C(status) (V(True), V(False) or V(Unknown); a boolean is accepted) are required. The other fields
        are C(reason) (a single CamelCase word), C(message), C(observedGeneration), C(lastHeartbeatTime) and
        C(lastTransitionTime) (RFC 3339 times; as C(date --rfc-3339=seconds) writes them, too, and without seconds).
      - C(lastTransitionTime) changes only when C(status) does; then it is the one given here, else the present time.
    type: list
    elements: dict
  replace:
    description:
      - The status becomes exactly what is given. All other fields and conditions are removed, the operator's own too.
    type: bool
    default: false
    aliases: [force]
  replace_lists:
    description:
      - If V(true), a list in O(status) becomes exactly the one given.
      - If V(false), a list that already holds all items given is left as it is, even if it holds others.
      - Conditions are always merged by their type.
    type: bool
    default: true
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
  - reconcile_runner.util.cluster
attributes:
  check_mode:
    description: The write is sent as a dry run of the API server, which checks it and changes nothing.
    support: full
  diff_mode:
    description: Shows the status before and after.
    support: full
notes:
  - A write that sets a list carries the resource version that was read. On a conflict the object is read again and the
    write is computed again, up to five times. So no condition that somebody else wrote in between is lost.
  - Different from C(operator_sdk.util.k8s_status) - O(replace_lists) defaults to V(true), a C(lastTransitionTime) given
    for a condition whose status stays the same is ignored, C(reason) may contain digits, O(replace) needs the
    permission to patch the status instead of the one to update it, C(metadata.managedFields) is not returned, and the
    text of a failure says more (RV(ignore:error) is the same).
"""

EXAMPLES = r"""
- name: Set fields of the status
  reconcile_runner.util.k8s_status:
    api_version: tutorial.my.domain/v1
    kind: Foo
    namespace: default
    name: foo-01
    status:
      happy: true

- name: Set a condition, and leave those of others alone
  reconcile_runner.util.k8s_status:
    api_version: apps.example.com/v1
    kind: Database
    namespace: "{{ ansible_operator_meta.namespace }}"
    name: "{{ ansible_operator_meta.name }}"
    conditions:
      - type: Migrated
        status: "False"
        reason: MigrationStarted
        message: The migration from version 2 to 3 has begun

- name: Remove a field
  reconcile_runner.util.k8s_status:
    api_version: apps.example.com/v1
    kind: Database
    namespace: default
    name: orders
    status:
      restoredFrom: null
"""

RETURN = r"""
result:
  description: The object as it is after the task, without C(metadata.managedFields). In check mode, as it would be.
  returned: success
  type: dict
  sample:
    apiVersion: tutorial.my.domain/v1
    kind: Foo
    metadata: {name: foo-01, namespace: default}
    spec: {name: jack}
    status: {happy: true}
dropped:
  description: Fields that the API server did not keep, because the schema of the kind does not know them.
  returned: when there are any
  type: list
  elements: str
  sample: [status.mood]
reason:
  description:
    - The word that Kubernetes has for the cause, such as V(NotFound), V(Forbidden), V(Conflict) or V(Invalid).
  returned: failure, where the API server answered
  type: str
  sample: NotFound
code:
  description: The HTTP status of the API server's answer.
  returned: failure, where the API server answered
  type: int
  sample: 404
error:
  description:
    - The API server's answer, as C(operator_sdk.util.k8s_status) hands it back - the HTTP status, its phrase and the
      body. For a condition that is not valid, a text.
  returned: failure, where the API server answered or a condition is not valid
  type: raw
  sample: {status: 404, reason: Not Found, body: '{"kind": "Status", "code": 404}'}
"""


from ansible.module_utils.basic import AnsibleModule
from ansible_collections.reconcile_runner.util.plugins.module_utils.api import RequestError, Target, connect
from ansible_collections.reconcile_runner.util.plugins.module_utils.cluster_module import cluster_module
from ansible_collections.reconcile_runner.util.plugins.module_utils.conditions import ConditionError, normalise
from ansible_collections.reconcile_runner.util.plugins.module_utils.status import Request
from ansible_collections.reconcile_runner.util.plugins.module_utils.status_client import update_status

OPTIONS = {
    "api_version": {"type": "str", "default": "v1", "aliases": ["api", "version"]},
    "kind": {"type": "str", "required": True},
    "name": {"type": "str", "required": True},
    "namespace": {"type": "str"},
    "status": {"type": "dict"},
    "conditions": {"type": "list", "elements": "dict"},
    "replace": {"type": "bool", "default": False, "aliases": ["force"]},
    "replace_lists": {"type": "bool", "default": True},
}


def build_request(params):
    """Return what the task asks for.

    :raises ConditionError: when a condition is not valid, or conditions are given twice.
    """
    status = dict(params["status"] or {})
    conditions = params["conditions"]
    if conditions and status.get("conditions"):
        raise ConditionError("conditions: given in the option status as well; expected them in one of the two")
    if conditions:
        status.pop("conditions", None)
        conditions = normalise(conditions, "conditions", other_fields=False)
    elif status.get("conditions") is not None:
        conditions = normalise(status.pop("conditions"), "status.conditions", other_fields=True)
    return Request(status, conditions, params["replace"], params["replace_lists"])


def result_of(outcome, with_diff):
    """Return what the module hands back for an outcome."""
    outcome.instance.get("metadata", {}).pop("managedFields", None)
    result = {"changed": outcome.changed, "result": outcome.instance}
    if outcome.dropped:
        result["dropped"] = outcome.dropped
    if with_diff:
        result["diff"] = {"before": {"status": outcome.before}, "after": {"status": outcome.after}}
    return result


def run(module):
    """Do what the task asks, and end the module."""
    params = module.params
    target = Target(params["api_version"], params["kind"], params["name"], params["namespace"])
    try:
        request = build_request(params)
        outcome = update_status(connect(module, target), target, request)
    except ConditionError as exc:
        module.fail_json(msg=str(exc), error=str(exc))
    except RequestError as exc:
        module.fail_json(msg=str(exc), **exc.details())
    if outcome.dropped:
        module.warn(
            f"{target.type_text}: the API server dropped {', '.join(outcome.dropped)}:"
            " the schema of the kind does not have it, so nobody will see it",
        )
    module.exit_json(**result_of(outcome, module._diff))  # noqa: SLF001 its name in kubernetes.core's AnsibleK8SModule


def main():
    """Entry point of the module."""
    run(cluster_module(AnsibleModule, OPTIONS, required_one_of=[["status", "conditions"]]))


if __name__ == "__main__":
    main()
