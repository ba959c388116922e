"""Errors of devcluster. Each one is a user's or a machine's fault, so `cli` prints its message without a traceback.

DevclusterError
├── BinariesUnavailableError  no source gave the programs
├── StartError                a program ended or did not become ready
└── ApiRequestError           the API server answered with an error status
"""

from __future__ import annotations


class DevclusterError(Exception):
    """Base of all errors that devcluster reports to its user."""


class BinariesUnavailableError(DevclusterError):
    """None of the sources of binaries gave what was asked for."""


class StartError(DevclusterError):
    """A program of the control plane ended early or did not become ready in time."""


class ApiRequestError(DevclusterError):
    """The API server refused a request.

    Attributes:
        status: HTTP status code of the answer.

    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status
