"""The exceptions of the runner.

    RunnerError                     everything this package raises on purpose
    ├── ConfigError                 a user's file, flag or environment is wrong; start is impossible (exit code 1)
    ├── ApiError                    the API server answered with an error status
    │   ├── NotFoundError           404
    │   ├── ConflictError           409
    │   ├── GoneError               410, or 504 "Too large resource version": list again
    │   ├── UnauthorizedError       401
    │   └── ForbiddenError          403
    ├── ApiUnreachableError         no answer from the API server: refused, reset, timed out, TLS
    │   └── UnreadableAnswerError   an answer that is cut, or is none of an API server
    ├── LeaseLostError              this operator leads no more: another does, or it could not renew in time
    ├── KindNotFoundError           discovery does not know the kind (its CRD may come later)
    └── ExecutionError              the engine could not run, which says nothing about the role
        └── RunLostError            … because a part of the engine died under the run: the next try may well succeed

Lowest layer. A message says what was found and what was expected; who catches one either logs it or raises, never both.
"""

from __future__ import annotations


class RunnerError(Exception):
    """Base of everything this package raises on purpose."""


class ConfigError(RunnerError):
    """A user's file, flag or environment is wrong.

    The message names file, entry and field, and what was expected.
    """


class ApiError(RunnerError):
    """The API server answered with an error.

    Attributes: ``status`` the HTTP status (for an ERROR event in a watch: its ``code``), ``reason`` the Status object's
    reason (may be empty), ``retry_after`` seconds that the server asked to wait, or None.
    """

    def __init__(self, status: int, reason: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(message or reason or f"HTTP {status}")
        self.status = status
        self.reason = reason
        self.retry_after = retry_after


class NotFoundError(ApiError):
    """HTTP 404: no such object, or no such resource."""


class ConflictError(ApiError):
    """HTTP 409: the object changed since it was read, or exists already."""


class GoneError(ApiError):
    """The watcher must list again.

    HTTP 410, an ERROR event with code 410, or 504 with a too large resourceVersion.
    """


class UnauthorizedError(ApiError):
    """HTTP 401: the credentials are not accepted, also after having been read again."""


class ForbiddenError(ApiError):
    """HTTP 403: the credentials lack a right."""


class ApiUnreachableError(RunnerError):
    """The API server gave no answer."""


class UnreadableAnswerError(ApiUnreachableError):
    """The answer is cut, or is none of an API server."""


class LeaseLostError(RunnerError):
    """The operator leads no more."""


class KindNotFoundError(RunnerError):
    """Discovery does not know the kind."""


class ExecutionError(RunnerError):
    """The engine could not start, or lost, a run. It says nothing about the role."""


class RunLostError(ExecutionError):
    """The engine lost the run. Retry; do not write it to the status."""
