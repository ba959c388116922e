from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from cryptography import x509

from reconcile_devcluster.certificates import Pki, ensure_pki
from reconcile_devcluster.node import kubelet
from reconcile_devcluster.node.network import NodeNetwork

if TYPE_CHECKING:
    from reconcile_devcluster.node.files import NodeFiles

NETWORK = NodeNetwork(5)


@pytest.fixture
def config(files: NodeFiles) -> dict[str, Any]:
    """Return the kubelet's configuration, written."""
    ensure_pki(Pki(files.data.pki))
    kubelet.write_config(files, NETWORK)
    loaded: dict[str, Any] = yaml.safe_load(files.kubelet_config.read_text())
    return loaded


def test_nobody_without_a_certificate_is_answered(config: dict[str, Any], files: NodeFiles) -> None:
    assert config["authentication"]["anonymous"] == {"enabled": False}
    assert config["authentication"]["x509"] == {"clientCAFile": str(Pki(files.data.pki).ca_certificate)}
    assert config["authorization"] == {"mode": "Webhook"}
    assert config["address"] == NETWORK.node_address


def test_its_control_groups_are_below_the_nodes_own(config: dict[str, Any], files: NodeFiles) -> None:
    assert config["cgroupRoot"] == files.cgroup
    assert config["cgroupDriver"] == "cgroupfs"


def test_a_container_that_crashes_waits_for_the_least_time(config: dict[str, Any]) -> None:
    assert config["featureGates"]["KubeletCrashLoopBackOffMax"] is True
    assert config["crashLoopBackOff"] == {"maxContainerRestartPeriod": "1s"}


def test_its_certificate_is_for_the_nodes_address(config: dict[str, Any], files: NodeFiles) -> None:
    certificate = x509.load_pem_x509_certificate(Path(config["tlsCertFile"]).read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.IPAddress) == [ipaddress.ip_address(NETWORK.node_address)]
    certificate.verify_directly_issued_by(
        x509.load_pem_x509_certificate(Pki(files.data.pki).ca_certificate.read_bytes())
    )


def test_questions_for_names_lead_nowhere(config: dict[str, Any]) -> None:
    assert "nameserver 127.0.0.1\n" in Path(config["resolvConf"]).read_text()
    assert "clusterDNS" not in config


def test_the_command_names_configuration_and_address(files: NodeFiles) -> None:
    command = kubelet.kubelet_command(Path("/kubelet"), files, Path("/kubeconfig"), NETWORK)
    assert command[0] == "/kubelet"
    assert {f"--config={files.kubelet_config}", "--kubeconfig=/kubeconfig", "--node-ip=10.213.5.2"} <= set(command)
