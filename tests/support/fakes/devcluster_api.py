"""A fake of `reconcile_devcluster.api.Api`: remembers what it was asked and answers from a list."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconcile_devcluster.api import JSON
from reconcile_devcluster.errors import ApiRequestError

if TYPE_CHECKING:
    from reconcile_devcluster.api import KubeObject


@dataclass(slots=True)
class FakeApi:
    """Answers each request with the next of `answers`, and the last one for ever.

    Attributes:
        answers: What to answer or raise, in order.
        requests: Method, path and content type of each request so far.

    """

    answers: list[KubeObject | ApiRequestError] = field(default_factory=list)
    requests: list[tuple[str, str, str]] = field(default_factory=list)

    def call(self, method: str, path: str, body: KubeObject | None = None, content_type: str = JSON) -> KubeObject:
        """See `Api.call`."""
        self.requests.append((method, path, content_type))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, ApiRequestError):
            raise answer
        return answer
