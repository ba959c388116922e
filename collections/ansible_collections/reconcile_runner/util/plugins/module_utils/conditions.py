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

_REASON = re.compile(r"[A-Za-z][A-Za-z0-9]*")
# As operator_sdk.util.k8s_status takes times: with a blank for the T, as `date --rfc-3339` does, or without seconds.
_TIME = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)[Tt ](?P<minute>\d\d:\d\d)(?P<second>:\d\d)?(?P<fraction>\.\d+)?"
    r"(?P<zone>[Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)"
)


class ConditionError(ValueError):
    """A condition in a task's arguments is not valid; the message names its place, what was found, what is expected."""


def normalise(conditions, option, other_fields):
    """Return checked copies of a task's conditions, as they are to be written.

    A boolean ``status`` is turned into its word, a time into RFC 3339, and what has no value is left out.

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
    condition = {key: copy.deepcopy(value) for key, value in condition.items() if value is not None}
    if isinstance(condition.get("status"), bool):
        condition["status"] = str(condition["status"])
    unknown = [key for key in condition if key not in FIELDS]
    if unknown and not other_fields:
        raise ConditionError(f"{place}: expected the fields {', '.join(FIELDS)}, found {unknown[0]!r}")
    _check_type_and_status(condition, place)
    _check_reason(condition, place)
    _write_times_well(condition, place)
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


def _write_times_well(condition, place):
    """Turn the times into RFC 3339; an empty one is left out.

    ``operator_sdk.util.k8s_status`` takes any text for ``lastHeartbeatTime``, so that one is the API server's to judge.
    """
    for field in ("lastHeartbeatTime", "lastTransitionTime"):
        if condition.get(field) == "":
            del condition[field]
        if field not in condition:
            continue
        time = _rfc3339(condition[field])
        if time is not None:
            condition[field] = time
        elif field == "lastTransitionTime":
            raise ConditionError(
                f"{place}.{field}: expected an RFC 3339 time such as 2025-01-31T12:00:00Z,"
                f" found {_kind(condition[field])}",
            )


def _rfc3339(value):
    """Return a time as RFC 3339 has it, or None where it is none."""
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    written = f"{match['day']}T{match['minute']}{match['second'] or ':00'}"
    try:
        datetime.strptime(written, "%Y-%m-%dT%H:%M:%S")  # noqa: DTZ007 only whether such a day exists is asked
    except ValueError:
        return None
    return f"{written}{match['fraction'] or ''}{match['zone'].upper()}"


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
