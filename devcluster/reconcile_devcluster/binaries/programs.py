"""Names of the programs, as they are called on disk."""

from __future__ import annotations

ETCD = "etcd"
API_SERVER = "kube-apiserver"
CONTROLLER_MANAGER = "kube-controller-manager"
SCHEDULER = "kube-scheduler"
KUBELET = "kubelet"
KUBE_PROXY = "kube-proxy"
PAUSE = "pause"
KUBECTL = "kubectl"
