"""What a run inherits of the operator's environment.

A run gets all of it, but for what would lead it away from its own proxy, or would make every run fail:

- Variables that clients of Kubernetes take before the kubeconfig of the run are withheld.
- The addresses of the run's own servers are on loopback. They are exempted from the HTTP proxies that the operator was
  given, which OLM and OpenShift hand to every operator. What the user exempted stays exempted.
- Ansible refuses to start where the locale is not one of UTF-8, so a run gets ``C.UTF-8`` then.
"""

from __future__ import annotations

import functools
import locale
from collections.abc import Iterable, Mapping
from typing import Final

_WITHHELD_PREFIXES: Final = ("K8S_AUTH_", "HELM_KUBE")
"""Ansible modules' and Helm's variables for the API server and the credentials: kubernetes.core takes ``K8S_AUTH_HOST``
before the kubeconfig, Helm ``HELM_KUBEAPISERVER`` and its like."""

_HTTP_PROXIES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
_EXEMPTIONS: Final = ("NO_PROXY", "no_proxy")
_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")

_LOCALE: Final = "LC_ALL"
_UTF_8: Final = "C.UTF-8"


def environment_of_runs(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what runs inherit of ``environ``, which is that of this process."""
    inherited = {name: value for name, value in environ.items() if not name.startswith(_WITHHELD_PREFIXES)}
    if any(environ.get(name) or environ.get(name.lower()) for name in _HTTP_PROXIES):
        inherited.update(_exempting_loopback(environ))
    if unusable_locale():
        inherited[_LOCALE] = _UTF_8
    return inherited


def withheld(environ: Mapping[str, str]) -> list[str]:
    """Return the names of the variables that are set and that no run gets."""
    return sorted(name for name in environ if name.startswith(_WITHHELD_PREFIXES))


@functools.cache
def unusable_locale() -> str:
    """Return what is wrong with this process's locale for Ansible, empty where nothing is.

    Asks as ansible-core does when it starts (``ansible.cli``): the locale must be there, and be one of UTF-8. It is
    found out once, at the start, because to ask changes the locale of all threads for a moment.
    """
    before = locale.setlocale(locale.LC_ALL)
    try:
        locale.setlocale(locale.LC_ALL, "")
        _, encoding = locale.getlocale()
    except (locale.Error, ValueError) as error:
        return str(error)
    finally:
        locale.setlocale(locale.LC_ALL, before)
    return "" if encoding and encoding.lower() in {"utf-8", "utf8"} else f"its encoding is {encoding or 'not known'}"


def _exempting_loopback(environ: Mapping[str, str]) -> dict[str, str]:
    """Return both spellings of the exemptions, and kubernetes.core's.

    A client may take either one alone, so a spelling that is not set gets what the other one has.
    """
    given = {name: environ.get(name, "") for name in _EXEMPTIONS}
    upper, lower = given.values()
    exempted = {}
    for name, value in zip(_EXEMPTIONS, (upper or lower, lower or upper), strict=True):
        hosts = [host.strip() for host in value.split(",") if host.strip()]
        exempted[name] = value if "*" in hosts else _joined(hosts)
    # Version 35 of the Kubernetes client forgets NO_PROXY again after it has read it. kubernetes.core tells it by this
    # variable, in which the client takes a ``*`` for a name.
    return {**exempted, "K8S_AUTH_NO_PROXY": _joined(exempted["NO_PROXY"].split(","))}


def _joined(hosts: Iterable[str]) -> str:
    return ",".join(dict.fromkeys([*hosts, *_LOOPBACK]))
