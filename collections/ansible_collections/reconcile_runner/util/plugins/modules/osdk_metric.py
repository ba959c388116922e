#!/usr/bin/python
# Copyright: (c) The authors of ansible-reconcile-runner
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt), or, as you choose,
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0
# ruff: noqa: E402 Ansible reads the documentation of a module from above its imports.

from __future__ import annotations

DOCUMENTATION = r"""
module: osdk_metric
short_description: Creates or updates a metric of the operator
version_added: 0.1.0
author:
  - The authors of ansible-reconcile-runner (!UNKNOWN)
description:
  - The operator shows the metric, without labels, among its own at C(/metrics), for Prometheus.
  - The first task that names a metric creates it, with the type and the description that are given there. Its type
    stays; a description given later is ignored.
  - Metrics are those of one process of the operator. They begin again at zero when it is started.
  - Takes the options of C(operator_sdk.util.osdk_metric).
options:
  name:
    description:
      - Name of the metric. Letters, digits, underscores and colons; no digit first. The operator's own names are
        refused.
    type: str
    required: true
  description:
    description:
      - What it counts or measures, for people.
    type: str
    required: true
  counter:
    description:
      - A value that only goes up. Without suboptions (C({})) it is created, and shows 0.
    type: dict
    suboptions:
      increment:
        description:
          - Adds one.
        type: bool
      add:
        description:
          - Adds this, 0 or more. O(counter.increment) wins.
        type: float
  gauge:
    description:
      - A value that goes up and down. Of several suboptions one is used, in the order in which they stand here.
    type: dict
    suboptions:
      increment:
        description:
          - Adds one.
        type: bool
      decrement:
        description:
          - Takes one away.
        type: bool
      add:
        description:
          - Adds this.
        type: float
      subtract:
        description:
          - Takes this away.
        type: float
      set:
        description:
          - Sets this.
        type: float
      set_to_current_time:
        description:
          - Sets the present time, in seconds since 1970.
        type: bool
  histogram:
    description:
      - Counts observations in buckets (up to 5 ms, 10 ms … 10 s, if they are seconds).
    type: dict
    suboptions:
      observe:
        description:
          - The value of one observation.
        type: float
  summary:
    description:
      - Counts observations and adds up their values.
    type: dict
    suboptions:
      observe:
        description:
          - The value of one observation.
        type: float
  address:
    description:
      - Where the operator takes metrics.
      - If it is not given, the variable E(RECONCILE_RUNNER_METRICS_URL) of the environment is used, which the operator
        sets for its runs where it listens elsewhere, and else V(http://localhost:5050/metrics).
    type: str
attributes:
  check_mode:
    description: Nothing is sent.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
notes:
  - A task that increments, adds, subtracts or observes does so each time it runs. It is changed each time, too.
  - Different from C(operator_sdk.util.osdk_metric) - Python's C(requests) is not needed, exactly one type has to be
    given, V(0) can be set, a histogram or summary that is created without O(histogram.observe) or O(summary.observe)
    has observed nothing, and an operator that cannot be reached is an error with a sentence.
"""

EXAMPLES = r"""
- name: Count the backups
  reconcile_runner.util.osdk_metric:
    name: backups_total
    description: Backups that were made
    counter:
      increment: true

- name: Show how many are kept
  reconcile_runner.util.osdk_metric:
    name: backups_kept
    description: Backups that are kept
    gauge:
      set: "{{ backups | length }}"

- name: Measure how long one took
  reconcile_runner.util.osdk_metric:
    name: backup_seconds
    description: How long a backup takes
    histogram:
      observe: "{{ backup.seconds }}"
"""

RETURN = r"""
status_code:
  description: The HTTP status of the operator's answer.
  returned: failure, where the operator answered
  type: int
  sample: 400
"""

import http.client
import json
import os
import urllib.error
import urllib.request

from ansible.module_utils.basic import AnsibleModule

DEFAULT_ADDRESS = "http://localhost:5050/metrics"
ADDRESS_VARIABLE = "RECONCILE_RUNNER_METRICS_URL"
TYPES = ("counter", "gauge", "histogram", "summary")
DEADLINE_SECONDS = 10


def argument_spec():
    """Return the options above."""
    observation = {"observe": {"type": "float"}}
    counter = {"increment": {"type": "bool"}, "add": {"type": "float"}}
    gauge = {
        "increment": {"type": "bool"},
        "decrement": {"type": "bool"},
        "add": {"type": "float"},
        "subtract": {"type": "float"},
        "set": {"type": "float"},
        "set_to_current_time": {"type": "bool"},
    }
    return {
        "name": {"type": "str", "required": True},
        "description": {"type": "str", "required": True},
        "counter": {"type": "dict", "options": counter},
        "gauge": {"type": "dict", "options": gauge},
        "histogram": {"type": "dict", "options": observation},
        "summary": {"type": "dict", "options": observation},
        "address": {"type": "str"},
    }


def payload(params):
    """Return what is sent: the name, the description and the one type, without what was not given."""
    body = {"name": params["name"], "description": params["description"]}
    for kind in TYPES:
        if params[kind] is not None:
            body[kind] = {key: value for key, value in params[kind].items() if value is not None}
    return body


def send(module, address, body):
    """Post the metric; end the module where that is impossible or refused."""
    if not address.startswith(("http://", "https://")):
        module.fail_json(msg=f"address: found {address!r}, expected a URL such as {DEFAULT_ADDRESS}")
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(address, json.dumps(body).encode(), headers)  # noqa: S310 checked above
    # The operator is on this machine: a proxy for the internet is not on the way there.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=DEADLINE_SECONDS):
            pass
    except urllib.error.HTTPError as exc:
        module.fail_json(msg=exc.read().decode(errors="replace").strip() or str(exc), status_code=exc.code)
    except urllib.error.URLError as exc:
        module.fail_json(msg=f"the operator cannot be reached at {address}: {exc.reason}")
    except (OSError, ValueError, http.client.HTTPException) as exc:
        module.fail_json(msg=f"the operator cannot be reached at {address}: {exc}")


def main():
    """Entry point of the module."""
    module = AnsibleModule(
        argument_spec=argument_spec(),
        mutually_exclusive=[TYPES],
        required_one_of=[TYPES],
        supports_check_mode=True,
    )
    address = module.params["address"] or os.environ.get(ADDRESS_VARIABLE) or DEFAULT_ADDRESS
    if not module.check_mode:
        send(module, address, payload(module.params))
    module.exit_json(changed=True)


if __name__ == "__main__":
    main()
