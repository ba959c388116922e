# Copyright: (c) The authors of ansible-reconcile-runner
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt), or, as you choose,
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0

"""Conditions of a status: checks what a task asks for, then merges it, by type, with what the object has.

Pure functions over plain dictionaries. ``k8s_status`` calls ``normalise`` on the task's arguments; ``status`` calls
``merge`` for every (re-)read of the object.
"""

from __future__ import annotations

import copy
import re
from datetime import datetime

# The fields that operator_sdk.util.k8s_status accepts, and the one that Kubernetes added to conditions since.
FIELDS = ("type", "status", "reason", "message", "observedGeneration", "lastHeartbeatTime", "lastTransitionTime")
STATUSES = ("True", "False", "Unknown")
TIMES = ("lastHeartbeatTime", "lastTransitionTime")

_REASON = re.compile(r"[A-Za-z][A-Za-z0-9]*")
_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)")


class ConditionError(ValueError):
    """A condition in a task's arguments is not valid; the message names its place, what was found, what is expected."""


def normalise(conditions, option, other_fields):
    """Return checked copies of a task's conditions, a boolean ``status`` turned into its word.

    :param conditions: what the task gave: a list of mappings.
    :param option: the option it was given in, for messages, such as ``conditions`` or ``status.conditions``.
    :param other_fields: whether fields besides ``FIELDS`` are let through.
    :raises ConditionError: at the first thing that is wrong.
    """
    if not isinstance(conditions, list):
        raise ConditionError(f"{option}: expected a list of conditions, found {_kind(conditions)}")
    result = []
    seen = set()
    for index, condition in enumerate(conditions):
        place = f"{option}[{index}]"
        checked = _normalise_one(condition, place, other_fields)
        if checked["type"] in seen:
            raise ConditionError(f"{place}.type: {checked['type']!r} is there twice; expected each type once")
        seen.add(checked["type"])
        result.append(checked)
    return result


def _normalise_one(condition, place, other_fields):
    if not isinstance(condition, dict):
        raise ConditionError(f"{place}: expected a mapping, found {_kind(condition)}")
    condition = copy.deepcopy(condition)
    if isinstance(condition.get("status"), bool):
        condition["status"] = str(condition["status"])
    unknown = [key for key in condition if key not in FIELDS]
    if unknown and not other_fields:
        raise ConditionError(f"{place}: expected the fields {', '.join(FIELDS)}, found {unknown[0]!r}")
    _check_type_and_status(condition, place)
    _check_reason(condition, place)
    for field in TIMES:
        _check_time(condition, field, place)
    return condition


def _check_type_and_status(condition, place):
    if not isinstance(condition.get("type"), str) or not condition["type"]:
        raise ConditionError(f"{place}.type: expected a word such as Ready, found {_kind(condition.get('type'))}")
    if condition.get("status") not in STATUSES:
        raise ConditionError(
            f"{place}.status: expected one of {', '.join(STATUSES)}, found {_kind(condition.get('status'))}",
        )


def _check_reason(condition, place):
    reason = condition.get("reason", "")
    if not isinstance(reason, str) or (reason and not _REASON.fullmatch(reason)):
        raise ConditionError(f"{place}.reason: expected a single CamelCase word, found {_kind(reason)}")


def _check_time(condition, field, place):
    if field not in condition:
        return
    value = condition[field]
    match = _RFC3339.fullmatch(value) if isinstance(value, str) else None
    try:
        if not match:
            raise ValueError(value)
        datetime.strptime(match.group(1), "%Y-%m-%dT%H:%M:%S")  # noqa: DTZ007 only whether such a day exists is asked
    except ValueError as exc:
        raise ConditionError(
            f"{place}.{field}: expected an RFC 3339 time such as 2025-01-31T12:00:00Z, found {_kind(value)}",
        ) from exc


def _kind(value):
    if value is None:
        return "nothing"
    if isinstance(value, (dict, list)):
        return "a mapping" if isinstance(value, dict) else "a list"
    return repr(value)


def merge(current, wanted, now):
    """Return ``current`` with each wanted condition in the place of the one of its type, or at the end.

    :param current: the object's conditions. Those of other types come back untouched, whatever fields they have.
    :param wanted: what ``normalise`` returned.
    :param now: the time (RFC 3339) for conditions whose status changes.
    """
    merged = copy.deepcopy(current)
    places = {condition.get("type"): index for index, condition in enumerate(merged) if isinstance(condition, dict)}
    for condition in wanted:
        index = places.get(condition["type"])
        if index is None:
            merged.append(_with_transition_time(condition, None, now))
        else:
            merged[index] = _with_transition_time(condition, merged[index], now)
    return merged


def replace(current, wanted, now):
    """Return the wanted conditions alone; where ``current`` has one with the same status, its transition time stays."""
    by_type = {condition.get("type"): condition for condition in current if isinstance(condition, dict)}
    return [_with_transition_time(condition, by_type.get(condition["type"]), now) for condition in wanted]


def _with_transition_time(condition, current, now):
    """Set lastTransitionTime: the old one as long as the status is the same, else the task's own, else ``now``."""
    result = copy.deepcopy(condition)
    if current and current.get("status") == condition["status"] and current.get("lastTransitionTime"):
        result["lastTransitionTime"] = current["lastTransitionTime"]
    else:
        result.setdefault("lastTransitionTime", now)
    return result
