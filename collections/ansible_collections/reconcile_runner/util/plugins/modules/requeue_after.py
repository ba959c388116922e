#!/usr/bin/python
# Copyright: (c) The authors of ansible-reconcile-runner
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt), or, as you choose,
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0
# ruff: noqa: E402 Ansible reads the documentation of a module from above its imports.

from __future__ import annotations

DOCUMENTATION = r"""
module: requeue_after
short_description: Asks the operator to run the role again after a while
version_added: 0.1.0
author:
  - The authors of ansible-reconcile-runner (!UNKNOWN)
description:
  - The run goes on and comes to its end, its status is written, and the object is reconciled again after O(time), if
    nothing else makes that happen earlier.
  - It counts once for the run that it is in. If a run has several such tasks, the first one counts. If the run fails,
    it is retried as any failed run, and this task has no effect.
  - Outside of the operator, for example in a playbook that is run by hand, it does nothing.
  - Takes the options of C(operator_sdk.util.requeue_after).
options:
  time:
    description:
      - How long to wait, as Go writes durations, such as V(90s), V(5m) or V(1h30m). V(0s) leaves it to the watch's
        own period.
    type: str
    required: true
attributes:
  check_mode:
    description: It changes nothing in any mode.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
notes:
  - Different from C(operator_sdk.util.requeue_after) - the operator lets the run end first, so that the tasks below
    are run, and a text that is no duration, such as V(5), fails this task. Fractions and the units C(ms), C(us) and
    C(ns) are taken, too.
"""

EXAMPLES = r"""
- name: Look again soon while the database starts
  reconcile_runner.util.requeue_after:
    time: 15s
  when: not database_is_ready
"""

RETURN = r"""
period:
  description: The option O(time). This is what the operator looks for.
  returned: success
  type: str
  sample: 15s
"""

import re

from ansible.module_utils.basic import AnsibleModule

# Go's time.ParseDuration, without a sign.
DURATION = re.compile(r"0|((\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h))+", re.ASCII)


def main():
    """Entry point of the module."""
    module = AnsibleModule(argument_spec={"time": {"type": "str", "required": True}}, supports_check_mode=True)
    period = module.params["time"]
    if not DURATION.fullmatch(period):
        module.fail_json(msg=f"time: found {period!r}, expected a number with a unit, such as 30s, 10m or 1h30m")
    module.exit_json(changed=False, period=period)


if __name__ == "__main__":
    main()
