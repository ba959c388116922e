"""The names of the files in which Kubernetes modules remember discovery, asked of the modules' own code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from runner.execution import discoveryfiles
from tests.integration.ansible_support import clean_environment, collection_paths

SERVER = "http://127.0.0.1:4711"
ASK = f"""
from ansible_collections.kubernetes.core.plugins.module_utils.client import discovery
from kubernetes.dynamic import discovery as original

def asked(of):
    class Quiet(of):
        client = property(lambda self: self, lambda self, client: None)
        configuration = property(lambda self: self)
        host = {SERVER!r}
        _load_server_info = discover = _write_cache = lambda self: None
        search = get = lambda self: None
        api_groups = property(lambda self: [])
        def __iter__(self):
            return iter(())
    Quiet.__abstractmethods__ = frozenset()
    made = Quiet(None, None)
    return next(value for name, value in vars(made).items() if name.endswith("__cache_file"))

print(asked(original.Discoverer))
print(asked(discovery.Discoverer))
"""


def test_the_modules_remember_where_the_operator_cleans_up(tmp_path: Path) -> None:
    environment = clean_environment(tmp_path, PYTHONPATH=":".join(map(str, collection_paths())))
    asked = subprocess.run(
        [sys.executable, "-c", ASK], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert asked.returncode == 0, asked.stderr
    remembered = {Path(line).name for line in asked.stdout.splitlines()}
    assert len(remembered) == 2
    assert remembered <= {path.name for path in discoveryfiles.paths(SERVER)}
