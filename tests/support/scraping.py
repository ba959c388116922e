"""Metrics over TLS, as Prometheus asks for them: with a token, and with a certificate that it cannot check."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request

from tests.support.operator_process import OperatorProcess

ANYTHING = ssl.create_default_context()
ANYTHING.check_hostname, ANYTHING.verify_mode = False, ssl.CERT_NONE


def scrape(process: OperatorProcess, token: str = "", tls: ssl.SSLContext = ANYTHING) -> tuple[int, str]:
    """Return status and body."""
    port = process.wait_for_message("metrics endpoint listening")["address"].rpartition(":")[2]
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(f"https://localhost:{port}/metrics", headers=headers)
    try:
        with urllib.request.urlopen(request, context=tls, timeout=30) as answer:  # noqa: S310 a loopback address
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
