"""Keeps the compiled code of plugins that each run imports itself.

These are collections' action plugins, and callbacks. A plugin may keep state of a run in its module, so each run
executes it again. Compiling it takes longer than that where Python cannot write a ``__pycache__`` beside it, as in an
image.
"""

from __future__ import annotations

import contextlib
import importlib.machinery
import importlib.util
from collections.abc import Iterable
from pathlib import Path
from types import CodeType, SimpleNamespace
from typing import Any


class _KnownSource(importlib.machinery.SourceFileLoader):
    """Loads a module from compiled code."""

    def __init__(self, name: str, path: str, code: CodeType) -> None:
        super().__init__(name, path)
        self._code = code

    def get_code(self, fullname: str) -> CodeType | None:  # noqa: ARG002 - it loads one module
        return self._code


def install(paths: Iterable[Path]) -> None:
    """Have Ansible's plugin loader use compiled code of these files.

    In this process and its forks.
    """
    from ansible.plugins import loader  # noqa: PLC0415 - not in the server

    known = {str(path): code for path in paths if (code := _compile(path))}

    def spec_from_file_location(name: str, location: str) -> Any:
        code = known.get(location)
        source = _KnownSource(name, location, code) if code else None
        return importlib.util.spec_from_file_location(name, location, loader=source)

    util = SimpleNamespace(
        spec_from_file_location=spec_from_file_location, module_from_spec=importlib.util.module_from_spec
    )
    loader.importlib = SimpleNamespace(util=util)


def _compile(path: Path) -> CodeType | None:
    """Compile a file as Python's import does.

    None if that fails: the run that imports it reports why.
    """
    source = importlib.machinery.SourceFileLoader(path.stem, str(path))
    with contextlib.suppress(OSError, SyntaxError, ValueError):
        return source.get_code(path.stem)
    return None
