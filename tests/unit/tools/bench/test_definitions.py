"""The files that operators under test are given are right by the operator's own judgement."""

from __future__ import annotations

from pathlib import Path

import yaml

from reconcile_runner.apimachinery.objects import GroupVersionKind
from reconcile_runner.watches.loader import FindingSeverity, Lookup, load
from tools.bench import definitions


def test_watches_hold_the_foo_of_the_repository_and_every_size_of_role(tmp_path: Path) -> None:
    file = definitions.write_watches(tmp_path)
    watches = load(file, {}, Lookup("", "", tmp_path), tolerated=FindingSeverity.ERROR).watches
    foo, *noops = watches
    assert foo.gvk == GroupVersionKind("tutorial.my.domain", "v1", "Foo")
    assert foo.controller_name == definitions.FOO_CONTROLLER
    assert len(foo.triggers) == 1
    assert [watch.controller_name for watch in noops] == [
        definitions.noop_controller(size) for size in definitions.NOOP_SIZES
    ]


def test_roles_have_as_many_tasks_as_they_say(tmp_path: Path) -> None:
    definitions.write_watches(tmp_path)
    for size in definitions.NOOP_SIZES:
        tasks = yaml.safe_load((tmp_path / "roles" / f"noop{size}" / "tasks" / "main.yml").read_text())
        assert len(tasks) == size


def test_another_operator_is_given_no_key_that_it_does_not_know(tmp_path: Path) -> None:
    (entry,) = yaml.safe_load(definitions.write_peer_watches(tmp_path).read_text())
    assert set(entry) == {"group", "version", "kind", "role", "vars"}
    assert Path(entry["role"]).is_dir()


def test_the_role_that_sleeps_is_foo_s_in_a_file_of_its_own(tmp_path: Path) -> None:
    file = definitions.write_sleeping_watches(tmp_path)
    (foo,) = load(file, {}, Lookup("", "", tmp_path), tolerated=FindingSeverity.ERROR).watches
    assert foo.controller_name == definitions.FOO_CONTROLLER
    assert foo.triggers == ()
    assert definitions.SLEEP in (tmp_path / "roles" / "sleep" / "tasks" / "main.yml").read_text()


def test_every_size_has_a_kind_whose_objects_it_makes(tmp_path: Path) -> None:
    directory = definitions.write_crds(tmp_path)
    served = {
        (crd["spec"]["names"]["kind"], crd["spec"]["names"]["plural"])
        for crd in map(yaml.safe_load, (file.read_text() for file in directory.iterdir()))
    }
    wanted = {
        (definitions.noop_object(size, "x", 0)["kind"], definitions.noop_path(size, "ns").rpartition("/")[2])
        for size in definitions.NOOP_SIZES
    }
    assert served == wanted
