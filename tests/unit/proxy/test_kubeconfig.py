"""A run's kubeconfig: the proxy's address and the run's token, nothing of the operator's own."""

from __future__ import annotations

import yaml

from reconcile_runner.proxy import kubeconfig


def test_it_is_yaml_that_every_client_reads() -> None:
    config = yaml.safe_load(kubeconfig.render("http://127.0.0.1:1", "t0ken", "here"))
    assert config["clusters"][0]["cluster"] == {"server": "http://127.0.0.1:1"}
    assert config["users"][0]["user"] == {"token": "t0ken", "as": "t0ken"}
    assert config["contexts"][0]["context"]["namespace"] == "here"
    assert config["current-context"] == config["contexts"][0]["name"]


def test_a_cluster_scoped_object_has_no_default_namespace() -> None:
    assert "namespace" not in kubeconfig.render("http://127.0.0.1:1", "t0ken", "")
