#!/usr/bin/python
# Copyright: (c) The authors of ansible-reconcile-runner
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt), or, as you choose,
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0
# ruff: noqa: E402 Ansible reads the documentation of a module from above its imports.

from __future__ import annotations

DOCUMENTATION = r"""
module: k8s_event
short_description: Writes a Kubernetes Event about an object
version_added: 0.1.0
author:
  - The authors of ansible-reconcile-runner (!UNKNOWN)
description:
  - Tells people what happened to an object, where C(kubectl describe) and C(kubectl events) show it.
  - An Event of the same name with the same O(reason) about the same object is counted up instead of made again. So a
    name such as C(foo-01.became-happy) stands for all occurrences, with the time of the first and of the last one.
  - Takes the options of C(operator_sdk.util.k8s_event) and, but for what the notes say, behaves as it does.
options:
  state:
    description:
      - With V(present) the Event is created, or one more occurrence of it is counted.
      - With V(absent) it is deleted, if it is there.
    type: str
    choices: [present, absent]
    default: present
  name:
    description:
      - Name of the Event.
    type: str
    required: true
  namespace:
    description:
      - Namespace of the Event. It has to be that of the object; for an object without one, V(default).
    type: str
    required: true
  message:
    description:
      - What happened, in a sentence for people. Required with O(state=present).
    type: str
  reason:
    description:
      - What happened, in one CamelCase word for programs. Required with O(state=present).
    type: str
  type:
    description:
      - Whether this is as it should be, or somebody should look.
    type: str
    choices: [Normal, Warning]
    default: Normal
  reportingComponent:
    description:
      - Name of the controller that says so, such as V(tutorial.my.domain/foo-operator).
    type: str
  reportingInstance:
    description:
      - Which of its instances says so, such as the name of its Pod.
    type: str
  source:
    description:
      - Who says so, as C(kubectl describe) shows it.
    type: dict
    suboptions:
      component:
        description:
          - Name of the component.
        type: str
        required: true
      host:
        description:
          - Node on which it runs.
        type: str
  involvedObject:
    description:
      - The object that it happened to.
    type: dict
    suboptions:
      apiVersion:
        description:
          - API version of its kind.
        type: str
        required: true
      kind:
        description:
          - Its kind.
        type: str
        required: true
      name:
        description:
          - Its name.
        type: str
        required: true
      namespace:
        description:
          - Its namespace. Default is that of the Event, if the kind is namespaced.
        type: str
      uid:
        description:
          - Its unique id, by which C(kubectl describe) finds the Event. Where it is not given, the object is read for
            it; give it where it is at hand, and save a request.
        type: str
      resourceVersion:
        description:
          - Its version at that moment.
        type: str
      fieldPath:
        description:
          - The part of it that is concerned.
        type: str
  appendTimestamp:
    description:
      - Makes a new Event each time, with the time in its name, and counts nothing.
    type: bool
    default: false
  merge_type:
    description:
      - Accepted for the sake of C(operator_sdk.util.k8s_event), and without effect in both.
    type: list
    elements: str
    choices: [json, merge, strategic-merge]
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
  - reconcile_runner.util.cluster
attributes:
  check_mode:
    description: Writes are sent as a dry run of the API server, which checks them and changes nothing.
    support: full
  diff_mode:
    description: An Event is news, not a state; there is nothing to compare.
    support: none
notes:
  - With O(state=present) the task is always changed, because it always says something. Let it run only when there is
    something to say, for example C(when) a status was changed.
  - The right to write Events is needed, that is C(get), C(create) and C(patch) on C(events) of the core group. Where it
    is missing, the task fails with RV(ignore:reason=Forbidden), so that a role can decide that this does not matter.
  - Different from C(operator_sdk.util.k8s_event) - O(state=absent) deletes, O(appendTimestamp) makes names that
    Kubernetes takes, O(type) has a default, occurrences counted at the same time are all counted, and an Event about an
    object that was deleted and created again begins with a count of one.
"""

EXAMPLES = r"""
- name: Set the status
  reconcile_runner.util.k8s_status:
    api_version: tutorial.my.domain/v1
    kind: Foo
    namespace: "{{ ansible_operator_meta.namespace }}"
    name: "{{ ansible_operator_meta.name }}"
    status:
      happy: true
  register: status

- name: Tell people when it changed
  reconcile_runner.util.k8s_event:
    name: "{{ ansible_operator_meta.name }}.became-happy"
    namespace: "{{ ansible_operator_meta.namespace }}"
    reason: BecameHappy
    message: Its friend has arrived
    source:
      component: foo-operator
    involvedObject:
      apiVersion: tutorial.my.domain/v1
      kind: Foo
      name: "{{ ansible_operator_meta.name }}"
      uid: "{{ status.result.metadata.uid }}"
  when: status is changed
"""

RETURN = r"""
result:
  description: The Event as it is after the task. In check mode, as it would be. With O(state=absent), as it was.
  returned: success, but for O(state=absent) where there was none
  type: dict
  sample:
    apiVersion: v1
    kind: Event
    metadata: {name: foo-01.became-happy, namespace: default}
    reason: BecameHappy
    message: Its friend has arrived
    type: Normal
    count: 2
    firstTimestamp: "2026-01-31T12:00:00Z"
    lastTimestamp: "2026-01-31T12:05:00Z"
reason:
  description:
    - The word that Kubernetes has for the cause, such as V(Forbidden) or V(Invalid).
  returned: failure, where the API server answered
  type: str
  sample: Forbidden
code:
  description: The HTTP status of the API server's answer.
  returned: failure, where the API server answered
  type: int
  sample: 403
error:
  description: The API server's answer - the HTTP status, its phrase and the body.
  returned: failure, where the API server answered
  type: dict
  sample: {status: 403, reason: Forbidden, body: '{"kind": "Status", "code": 403}'}
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.reconcile_runner.util.plugins.module_utils.api import RequestError, connect
from ansible_collections.reconcile_runner.util.plugins.module_utils.cluster_module import cluster_module
from ansible_collections.reconcile_runner.util.plugins.module_utils.event import Occurrence, unique_name
from ansible_collections.reconcile_runner.util.plugins.module_utils.event_client import (
    complete_reference,
    event_target,
    record,
    remove,
)

SOURCE_SPEC = {
    "component": {"type": "str", "required": True},
    "host": {"type": "str"},
}
INVOLVED_OBJECT_SPEC = {
    "apiVersion": {"type": "str", "required": True},
    "kind": {"type": "str", "required": True},
    "name": {"type": "str", "required": True},
    "namespace": {"type": "str"},
    "uid": {"type": "str"},
    "resourceVersion": {"type": "str"},
    "fieldPath": {"type": "str"},
}
OPTIONS = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "name": {"type": "str", "required": True},
    "namespace": {"type": "str", "required": True},
    "message": {"type": "str"},
    "reason": {"type": "str"},
    "type": {"type": "str", "choices": ["Normal", "Warning"], "default": "Normal"},
    "reportingComponent": {"type": "str"},
    "reportingInstance": {"type": "str"},
    "source": {"type": "dict", "options": SOURCE_SPEC},
    "involvedObject": {"type": "dict", "options": INVOLVED_OBJECT_SPEC},
    "appendTimestamp": {"type": "bool", "default": False},
    "merge_type": {"type": "list", "elements": "str", "choices": ["json", "merge", "strategic-merge"]},
}


def given(options):
    """Return the options that have a value."""
    return {key: value for key, value in (options or {}).items() if value is not None}


def build_occurrence(params, involved):
    """Return what the task says happened."""
    origin = given({key: params[key] for key in ("reportingComponent", "reportingInstance")})
    if params["source"]:
        origin["source"] = given(params["source"])
    return Occurrence(params["reason"], params["message"], params["type"], involved, origin)


def write(module):
    """Do what the task asks, and return the module's result.

    :raises RequestError: when the API server refuses.
    """
    params = module.params
    new = params["appendTimestamp"] and params["state"] == "present"
    target = event_target(unique_name(params["name"], time.time_ns()) if new else params["name"], params["namespace"])
    client = connect(module, target)
    if params["state"] == "absent":
        removed = remove(client, target)
        return {"changed": True, "result": removed} if removed else {"changed": False}
    involved = given(params["involvedObject"])
    if involved:
        involved = complete_reference(client, involved, params["namespace"])
    return {"changed": True, "result": record(client, target, build_occurrence(params, involved), new=new)}


def run(module):
    """Do what the task asks, and end the module."""
    try:
        result = write(module)
    except RequestError as exc:
        module.fail_json(msg=str(exc), **exc.details())
    result.get("result", {}).get("metadata", {}).pop("managedFields", None)
    module.exit_json(**result)


def main():
    """Entry point of the module."""
    run(cluster_module(AnsibleModule, OPTIONS, required_if=[["state", "present", ["message", "reason"]]]))


if __name__ == "__main__":
    main()
