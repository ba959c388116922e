"""Conditions: what a run's result looks like in an object's ``status``.

``reconciler`` picks the update for a moment from the watch's ``style`` (made in ``conditions`` or ``upstream``, which
read the object through ``types``) and hands it to the ``writer``. Reference for users: docs/reference/status.md.
"""

from reconcile_runner.reconciler.status.style import Style, status_style_for
from reconcile_runner.reconciler.status.types import LastResult, StatusUpdate, last_result
from reconcile_runner.reconciler.status.writer import StatusWriter, Written

__all__ = ["LastResult", "StatusUpdate", "StatusWriter", "Style", "Written", "last_result", "status_style_for"]
