# Copyright: (c) The authors of ansible-reconcile-runner
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt), or, as you choose,
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0

"""What an Event should say: a new one, or one more occurrence of what an earlier one said already.

Pure functions. ``k8s_event`` builds an ``Occurrence`` from its arguments; ``event_client`` asks it for the body of each
write, worked out for each read of the Event.
"""

from __future__ import annotations

import copy

LONGEST_NAME = 253


class Occurrence:
    """Something that happened to an object.

    :param reason: one word for programs; occurrences of one reason are counted together.
    :param message: a sentence for people; the newest one is kept.
    :param kind_of_event: ``Normal`` or ``Warning``.
    :param involved: the object that it happened to (``apiVersion``, ``kind``, ``name`` …), or None.
    :param origin: who says so: ``source``, ``reportingComponent`` and ``reportingInstance``, as far as given.
    """

    def __init__(self, reason, message, kind_of_event, involved, origin):
        self.reason = reason
        self.message = message
        self.kind_of_event = kind_of_event
        self.involved = involved
        self.origin = origin

    def body(self, prior, now):
        """Return the fields that the Event gets.

        :param prior: the Event as it is, or None. One with the same reason about the same object is continued: its
            count goes up by one, and its first time stays. Any other one begins again with a count of one.
        :param now: the present time (RFC 3339).
        """
        continued = prior if prior and self._continues(prior) else {}
        fields = {
            "reason": self.reason,
            "message": self.message,
            "type": self.kind_of_event,
            "count": _count(continued) + 1,
            "firstTimestamp": continued.get("firstTimestamp") or now,
            "lastTimestamp": now,
            **copy.deepcopy(self.origin),
        }
        if self.involved:
            fields["involvedObject"] = copy.deepcopy(self.involved)
        return fields

    def _continues(self, prior):
        return prior.get("reason") == self.reason and _same_object(prior.get("involvedObject"), self.involved)


def _count(event):
    count = event.get("count")
    return count if isinstance(count, int) else 0


def _same_object(before, now):
    """Whether two references are to one object: an object that was deleted and made again is another one."""
    before, now = before or {}, now or {}
    if before.get("uid") and now.get("uid"):
        return before["uid"] == now["uid"]
    return all((before.get(key) or "") == (now.get(key) or "") for key in ("kind", "namespace", "name"))


def unique_name(name, nanoseconds):
    """Return the name with a time appended, as Kubernetes' own components name their Events."""
    suffix = f".{nanoseconds:x}"
    return name[: LONGEST_NAME - len(suffix)] + suffix
