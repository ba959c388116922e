# Copyright: (c) The authors of ansible-reconcile-runner
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt), or, as you choose,
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0

"""What a status should become, and the smallest JSON merge patch (RFC 7396) that makes it so.

Pure functions. ``k8s_status`` builds a ``Request`` from its arguments; ``status_client`` asks it for the target each
time it has read the object.
"""

from __future__ import annotations

import copy

from ansible_collections.reconcile_runner.util.plugins.module_utils import conditions as _conditions


class Request:
    """What one task asks of a status.

    :param status: fields to set, merged as RFC 7396 says: a null removes, a mapping is merged, all else replaces.
    :param conditions: checked conditions (``conditions.normalise``), or None to leave the object's conditions alone.
    :param replace: the status becomes exactly this; all other fields and conditions go.
    :param replace_lists: a list becomes exactly the one given; else a list that has all wanted items stays as it is.
    """

    def __init__(self, status, conditions, replace, replace_lists):
        self.status = status
        self.conditions = conditions
        self.replace = replace
        self.replace_lists = replace_lists

    def target(self, current, now):
        """Return the whole status that ``current`` should become; ``now`` is used for changed conditions."""
        base = {} if self.replace else current
        target = _merge(base, self.status, self.replace_lists)
        if self.conditions is not None:
            combine = _conditions.replace if self.replace else _conditions.merge
            target["conditions"] = combine(_list(current.get("conditions")), self.conditions, now)
        return target


def _merge(current, wanted, replace_lists):
    """Apply a JSON merge patch; return a copy."""
    result = copy.deepcopy(current) if isinstance(current, dict) else {}
    for key, value in wanted.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            result[key] = _merge(result.get(key), value, replace_lists)
        elif not (isinstance(value, list) and not replace_lists and _has_all(result.get(key), value)):
            result[key] = copy.deepcopy(value)
    return result


def _has_all(current, wanted):
    return isinstance(current, list) and all(any(same(have, item) for have in current) for item in wanted)


def _list(value):
    return value if isinstance(value, list) else []


def merge_patch(current, target):
    """Return the smallest JSON merge patch that turns ``current`` into ``target``; empty if they are the same."""
    patch = {key: None for key in current if key not in target}
    for key, value in target.items():
        if key in current and same(current[key], value):
            continue
        if isinstance(value, dict) and isinstance(current.get(key), dict):
            patch[key] = merge_patch(current[key], value)
        else:
            patch[key] = copy.deepcopy(value)
    return patch


def same(left, right):
    """Whether two JSON values are equal. Unlike Python's ``==``, true is not 1."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(same(*pair) for pair in zip(left, right, strict=True))
    return isinstance(left, bool) == isinstance(right, bool) and left == right


def writes_list(patch):
    """Whether a merge patch sets a list, which it can only replace as a whole: another's change would be lost."""
    return any(isinstance(value, list) or (isinstance(value, dict) and writes_list(value)) for value in patch.values())


def missing(patch, actual, path):
    """Return the paths of fields that ``patch`` sets and ``actual`` has not, such as ``status.mood``."""
    paths = []
    if isinstance(patch, dict) and isinstance(actual, dict):
        for key, value in patch.items():
            where = f"{path}.{key}"
            if key in actual:
                paths.extend(missing(value, actual[key], where))
            elif value is not None:
                paths.append(where)
    elif isinstance(patch, list) and isinstance(actual, list):
        for index, pair in enumerate(zip(patch, actual, strict=False)):
            paths.extend(missing(*pair, f"{path}[{index}]"))
    return paths
