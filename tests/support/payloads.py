"""Zips as Ansible makes them of modules, with a loader of a few lines in place of Ansible's."""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Mapping
from pathlib import PurePosixPath

LOADER = "ansible/module_utils/_internal/_ansiballz/_loader.py"
NAME = "ansible_collections.my.own.plugins.modules.told"
MODULE = "ansible_collections/my/own/plugins/modules/told.py"
SHARED = "ansible_collections/my/own/plugins/module_utils"


def pack(files: Mapping[str, str], loader: str = "def run_module(**arguments):\n    pass\n") -> bytes:
    """Return the base64 of a zip of these files, the loader, and an empty ``__init__.py`` where there is none."""
    everything = {LOADER: loader, **files}
    for name in list(everything):
        for parent in PurePosixPath(name).parents[:-1]:
            everything.setdefault(f"{parent}/__init__.py", "")
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for name, text in everything.items():
            file.writestr(name, text)
    return base64.b64encode(content.getvalue())
