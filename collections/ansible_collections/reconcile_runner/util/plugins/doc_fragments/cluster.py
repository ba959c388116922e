# Copyright: (c) The authors of ansible-reconcile-runner
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt), or, as you choose,
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0

"""Documentation that the modules which talk to a cluster share, besides kubernetes.core's of where and who."""

from __future__ import annotations


class ModuleDocFragment:
    """Options and requirements; ``extends_documentation_fragment: [reconcile_runner.util.cluster]``."""

    DOCUMENTATION = r"""
options: {}
requirements:
  - python >= 3.11
  - kubernetes >= 24.2.0
"""
