from __future__ import annotations

import json

import yaml

from tools import get_collections
from tools.environment import ROOT


def test_the_installed_collection_is_the_pinned_one_and_needs_no_other() -> None:
    pinned = yaml.safe_load((ROOT / "requirements.yml").read_text())["collections"]
    assert [one["name"] for one in pinned] == ["kubernetes.core"]
    collection = ROOT / ".collections/ansible_collections/kubernetes/core"
    assert get_collections.installed_version(collection) == pinned[0]["version"]
    manifest = json.loads((collection / "MANIFEST.json").read_text())
    assert manifest["collection_info"]["dependencies"] == {}
