from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING

from tools import get_collections
from tools.environment import REQUIREMENTS

if TYPE_CHECKING:
    from pathlib import Path


def test_only_the_collection_is_taken_out_of_the_wheel(tmp_path: Path) -> None:
    manifest = {"collection_info": {"version": "6.6.0"}}
    with zipfile.ZipFile(tmp_path / "ansible.whl", "w") as wheel:
        wheel.writestr("ansible_collections/kubernetes/core/MANIFEST.json", json.dumps(manifest))
        wheel.writestr("ansible_collections/kubernetes/core/plugins/modules/k8s.py", "")
        wheel.writestr("ansible_collections/kubernetes/corelike/x.py", "")
        wheel.writestr("ansible_collections/community/general/x.py", "")
    assert get_collections.extract(tmp_path / "ansible.whl", tmp_path / "out") == 2
    assert sorted(path.name for path in (tmp_path / "out").rglob("*") if path.is_file()) == ["MANIFEST.json", "k8s.py"]
    assert get_collections.installed_version(tmp_path / "out/ansible_collections/kubernetes/core") == "6.6.0"


def test_lock_files_hold_hashes_and_no_address() -> None:
    files = sorted(REQUIREMENTS.glob("*.txt"))
    assert len(files) >= 11
    for file in files:
        lines = file.read_text().splitlines()
        pinned = [line for line in lines if "==" in line]
        assert pinned, file
        assert all(line.rstrip(" \\").split(";")[0].count("==") == 1 for line in pinned), file
        assert sum("--hash=sha256:" in line for line in lines) >= len(pinned), file
        assert not [line for line in lines if "://" in line or "--index" in line or "--find-links" in line], file
