"""A proxy that only issues tokens."""

from __future__ import annotations

from dataclasses import dataclass, field

from reconcile_runner.proxy import TokenRegistry


@dataclass
class FakeProxy:
    """Implements ``jobrunner.ProxyAccess``."""

    url: str = "http://127.0.0.1:1"
    tokens: TokenRegistry = field(default_factory=TokenRegistry)
