"""`dist/bundle/`: made from `config/`, and what OLM's own definitions and checks say to it."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconcile_devcluster import crds
from reconcile_devcluster.binaries.finder import find_kubectl
from reconcile_devcluster.cluster import Cluster
from reconcile_devcluster.errors import ApiRequestError
from tests import checkers
from tests.support.kustomized import MANAGER, objects_of, the
from tests.support.operator_process import foo_path
from tools import manifests

KubeObject = dict[str, Any]

CSVS = "/apis/operators.coreos.com/v1alpha1/namespaces/default/clusterserviceversions"
DRY_RUN = "dryRun=All&fieldValidation=Strict"
CRD = "crds/operators.coreos.com_clusterserviceversions.yaml"

pytestmark = pytest.mark.timeout(checkers.BUILD_TIMEOUT)


@pytest.fixture(scope="module")
def csv() -> KubeObject:
    path = manifests.BUNDLE / "manifests" / "foo-operator.clusterserviceversion.yaml"
    found: KubeObject = yaml.safe_load(path.read_text())
    return found


@pytest.fixture(scope="module")
def olm_cluster(foo_cluster: Cluster) -> Cluster:
    """Return a cluster that knows OLM's kind, and Foos."""
    crds.install(foo_cluster.api, checkers.OPERATOR_FRAMEWORK.directory() / CRD)
    return foo_cluster


def test_the_bundle_is_what_config_says() -> None:
    wanted = manifests.bundle_files(find_kubectl())
    there = {path.relative_to(manifests.BUNDLE).as_posix() for path in manifests.BUNDLE.rglob("*") if path.is_file()}
    assert there == wanted.keys(), "run `make manifests`"
    for name, text in wanted.items():
        found = (manifests.BUNDLE / name).read_text()
        # Another kubectl may write the same objects a little differently.
        same = manifests.parse(found) == manifests.parse(text) if name.endswith(".yaml") else found == text
        assert same, f"{name}: run `make manifests`"


def test_olms_own_check_finds_no_error() -> None:
    program = checkers.build(checkers.OPERATOR_VERIFY)
    answer = subprocess.run(
        [program, "manifests", "--operatorhub_validate", "--object_validate", str(manifests.BUNDLE)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    assert "Error:" not in answer.stderr
    # An icon is for a catalogue.
    warnings = [line for line in answer.stderr.splitlines() if "deprecated" not in line and "Icon" not in line]
    assert not warnings


def test_olms_own_check_finds_a_kind_that_is_missing(tmp_path: Path, csv: KubeObject) -> None:
    (tmp_path / "csv.yaml").write_text(yaml.safe_dump(csv))
    program = checkers.build(checkers.OPERATOR_VERIFY)
    answer = subprocess.run([program, "manifests", str(tmp_path)], capture_output=True, text=True, check=False)
    assert re.search(r"owned CRD .*Kind=Foo.* not found in bundle", answer.stderr)


def test_the_api_server_accepts_the_csv_by_olms_schema(olm_cluster: Cluster, csv: KubeObject) -> None:
    olm_cluster.api.call("POST", f"{CSVS}?{DRY_RUN}", csv)


def test_the_api_server_refuses_a_field_that_olm_does_not_know(olm_cluster: Cluster, csv: KubeObject) -> None:
    wrong = csv | {"spec": csv["spec"] | {"instal": {}}}
    with pytest.raises(ApiRequestError, match=r'unknown field "spec.instal"'):
        olm_cluster.api.call("POST", f"{CSVS}?{DRY_RUN}", wrong)


def test_the_examples_are_accepted(olm_cluster: Cluster, csv: KubeObject) -> None:
    examples = json.loads(csv["metadata"]["annotations"]["alm-examples"])
    assert [example["metadata"]["name"] for example in examples] == ["foo-01", "foo-02"]
    for example in examples:
        olm_cluster.api.call("POST", f"{foo_path('default')}?{DRY_RUN}", example)


def test_olm_installs_the_same_deployment(csv: KubeObject) -> None:
    [deployment] = csv["spec"]["install"]["spec"]["deployments"]
    wanted = the(objects_of(find_kubectl(), "default"), "Deployment")
    assert (deployment["name"], deployment["spec"]) == (MANAGER, wanted["spec"])


def test_the_capability_level_is_stated_with_its_reason(csv: KubeObject) -> None:
    annotations = csv["metadata"]["annotations"]
    assert annotations["capabilities"] == "Basic Install"
    assert "no workload" in annotations["capabilities-reason"]
    assert "*Basic Install*" in csv["spec"]["description"]
