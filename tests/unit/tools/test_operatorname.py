from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.support.kustomized import renamed_copy
from tests.support.paths import REPOSITORY
from tools import operatorname


def test_the_file_is_read_as_kustomize_reads_it() -> None:
    component = yaml.safe_load((REPOSITORY / operatorname.FILE).read_text())
    [image] = component["images"]
    names = operatorname.read()
    assert names.name == component["labels"][0]["pairs"]["app.kubernetes.io/name"]
    assert names.image == f"{image['newName']}:{image['newTag']}"


@pytest.mark.parametrize("name", ["shop-operator", "a"])
def test_no_other_file_holds_the_name_once_it_is_changed(tmp_path: Path, name: str) -> None:
    before = operatorname.read().name
    copy = renamed_copy(tmp_path, name)
    holding = [path.name for path in copy.rglob("*") if path.is_file() and before in path.read_text()]
    assert holding == []
    assert operatorname.read(tmp_path).name == name
    rules = yaml.safe_load((copy / "prometheus/rules.yaml").read_text())["spec"]["groups"][0]["rules"]
    assert {rule["labels"]["operator"] for rule in rules} == {name}
    assert all(f'job="{name}"' in rule["expr"] for rule in rules)


def test_a_file_that_lacks_the_name_is_an_error(tmp_path: Path) -> None:
    place = tmp_path / operatorname.FILE
    place.parent.mkdir(parents=True)
    place.write_text("images:\n  - newName: a\n    newTag: b\n")
    with pytest.raises(ValueError, match=r"app\.kubernetes\.io/name"):
        operatorname.read(tmp_path)


def test_the_tracked_files_are_as_they_are_written(tmp_path: Path) -> None:
    directory = REPOSITORY / "config" / "prometheus"
    for name in ("kustomization.yaml", "rules.yaml"):
        (tmp_path / name).write_text((directory / name).read_text())
    operatorname.write_into_monitoring(tmp_path, operatorname.read().name)
    for path in tmp_path.iterdir():
        assert path.read_text() == (directory / path.name).read_text(), "run `make manifests`"
