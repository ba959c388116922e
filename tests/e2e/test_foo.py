"""The worked example on a real node: a Pod that runs makes a Foo happy, as a person sees it with kubectl."""

from __future__ import annotations

import pytest
import yaml

from tests.e2e.cluster import Target
from tests.e2e.deployed import Deployed
from tests.support.operator_process import REPOSITORY, Kube, eventually

pytestmark = pytest.mark.timeout(600)

SAMPLES = REPOSITORY / "config" / "samples"


def test_a_foo_is_happy_while_the_pod_of_its_friend_runs(
    operator: Deployed, target: Target, kube: Kube, namespace: str
) -> None:
    in_namespace = ("--namespace", namespace)
    kubectl = target.kubectl
    kubectl.run("apply", *in_namespace, "-k", str(SAMPLES))
    kubectl.wait(namespace, "foo/foo-01", "condition=Ready")
    assert kube.happy(namespace, "foo-01") is False

    jack = yaml.safe_load((SAMPLES / "pod-jack.yaml").read_text())
    jack["spec"]["containers"][0]["image"] = target.pause_image
    kubectl.run("apply", *in_namespace, "-f", "-", stdin=yaml.safe_dump(jack))
    kubectl.wait(namespace, "pod/jack", "condition=Ready")
    kubectl.wait(namespace, "foo/foo-01", "jsonpath={.status.happy}=true")
    kubectl.wait(namespace, "foo/foo-01", "condition=Ready")

    events = target.kubectl.run("get", "events", *in_namespace, "-o", "jsonpath={.items[*].message}")
    assert "A Pod named 'jack' exists" in events, "the role may write Events"

    header, first, second = kubectl.run("get", "foo", *in_namespace).splitlines()
    assert header.split() == ["NAME", "FRIEND", "HAPPY", "READY", "AGE"]
    assert first.split()[:4] == ["foo-01", "jack", "true", "True"]
    assert second.split()[:4] == ["foo-02", "joe", "false", "True"]

    kubectl.run("delete", *in_namespace, "pod", "jack")
    eventually(lambda: kube.happy(namespace, "foo-01") is False, "foo-01 to be sad again")
