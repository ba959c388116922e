# Copyright: (c) The authors of ansible-reconcile-runner
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt), or, as you choose,
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0

"""The AnsibleModule of the modules that talk to a cluster. Their documentation shares the fragment ``cluster``."""

from __future__ import annotations

import copy

from ansible_collections.kubernetes.core.plugins.module_utils.args_common import AUTH_ARG_SPEC
from ansible_collections.kubernetes.core.plugins.module_utils.k8s.core import AnsibleK8SModule


def cluster_module(module_class, options, required_if=None, required_one_of=None):
    """Return a module with its own options, and those of kubernetes.core that say where and who.

    :param module_class: AnsibleModule, which ansible-test wants each module to import.
    :param required_if: as AnsibleModule has it.
    :param required_one_of: as AnsibleModule has it.
    """
    return AnsibleK8SModule(
        module_class=module_class,
        argument_spec={**copy.deepcopy(AUTH_ARG_SPEC), **options},
        required_if=required_if,
        required_one_of=required_one_of,
        supports_check_mode=True,
        check_pyyaml=False,
    )
