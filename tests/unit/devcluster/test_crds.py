from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconcile_devcluster import crds
from reconcile_devcluster.api import APPLY_PATCH
from reconcile_devcluster.errors import ApiRequestError, DevclusterError, StartError
from tests.support.fakes.devcluster_api import FakeApi

if TYPE_CHECKING:
    from pathlib import Path

    from reconcile_devcluster.api import Api, KubeObject

DEFINITION = "kind: CustomResourceDefinition\nmetadata: {name: %s}\n"
ESTABLISHED: KubeObject = {
    "spec": {
        "group": "x",
        "names": {"plural": "as"},
        "versions": [{"name": "v1", "served": True}, {"name": "v0", "served": False}],
    },
    "status": {"conditions": [{"type": "Established", "status": "True"}]},
}
NOT_ESTABLISHED: KubeObject = {
    "status": {"conditions": [{"type": "NamesAccepted", "status": "False", "message": "kind Foo is taken"}]}
}


def test_every_definition_of_a_directory_is_applied_and_waited_for(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(DEFINITION % "as.x" + "---\n" + DEFINITION % "bs.x" + "---\n")
    (tmp_path / "c.yaml").write_text(DEFINITION % "cs.x")
    (tmp_path / "notes.txt").write_text("not ours")
    fake = FakeApi([{}, {}, {}, {"status": {"conditions": None}}, NOT_ESTABLISHED, ESTABLISHED])
    api: Api = fake
    assert crds.install(api, tmp_path) == ["as.x", "bs.x", "cs.x"]
    assert [request for request in fake.requests if request[0] == "PATCH"] == [
        (
            "PATCH",
            f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}?fieldManager=devcluster&force=true",
            APPLY_PATCH,
        )
        for name in ("as.x", "bs.x", "cs.x")
    ]


@pytest.mark.parametrize("status", [404, 429, 503])
def test_a_kind_that_is_not_served_yet_is_asked_again(status: int, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(DEFINITION % "as.x")
    not_yet = ApiRequestError("storage is (re)initializing", status)
    fake = FakeApi([{}, ESTABLISHED, not_yet, ESTABLISHED, {"items": []}])
    crds.install(fake, tmp_path)
    assert [path for _, path, _ in fake.requests].count("/apis/x/v1/as?limit=1") == 2


def test_an_error_while_waiting_is_not_waited_out(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(DEFINITION % "as.x")
    with pytest.raises(ApiRequestError, match="forbidden"):
        crds.install(FakeApi([{}, ESTABLISHED, ApiRequestError("forbidden", 403)]), tmp_path)


@pytest.mark.parametrize(
    ("text", "found"), [("kind: Pod\nmetadata: {name: x}\n", "found Pod"), ("- 1\n", "found list")]
)
def test_something_else_is_refused_with_the_file(tmp_path: Path, text: str, found: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(DevclusterError, match=rf"a\.yaml: {found}, expected a CustomResourceDefinition"):
        crds.install(FakeApi(), tmp_path)


@pytest.mark.parametrize("name", ["broken.yaml", "missing.yaml"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "broken.yaml").write_text("{")
    with pytest.raises(DevclusterError, match=f"{name}: cannot be read"):
        crds.install(FakeApi(), tmp_path / name)


@pytest.mark.parametrize("spec", ["&a {b: *a}", "&a [*a]", "2026-01-01", "[" * 5000 + "]" * 5000])
def test_a_definition_that_is_no_finite_json_is_refused_with_the_file(tmp_path: Path, spec: str) -> None:
    (tmp_path / "a.yaml").write_text(DEFINITION % "as.x" + f"spec: {spec}\n")
    with pytest.raises(DevclusterError, match=r"a\.yaml: cannot be read"):
        crds.install(FakeApi([{}, ESTABLISHED, {"items": []}]), tmp_path)


def test_a_definition_that_stays_unestablished_is_an_error_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.yaml").write_text(DEFINITION % "as.x")
    monkeypatch.setattr(crds, "SERVED_TIMEOUT", 0.0)
    with pytest.raises(StartError, match=r"as\.x was not served .* kind Foo is taken"):
        crds.install(FakeApi([NOT_ESTABLISHED]), tmp_path)
