"""Conditions: a run's result in an object's ``status``.

A watch has a style of conditions, the project's or upstream's: functions from a result to an update of the status. The
writer applies updates. Reference: docs/reference/status.md.
"""

from reconcile_runner.reconciler.status.style import Style, status_style_for
from reconcile_runner.reconciler.status.types import LastResult, StatusUpdate, last_result
from reconcile_runner.reconciler.status.writer import StatusWriter, UpdateFor, Written

__all__ = [
    "LastResult",
    "StatusUpdate",
    "StatusWriter",
    "Style",
    "UpdateFor",
    "Written",
    "last_result",
    "status_style_for",
]
