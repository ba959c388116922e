"""An object of each kind that operators commonly make, without a name; and how a test names one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from reconcile_runner.apimachinery.objects import GroupVersionKind, KubeObject
from tools.testing.definitions import custom_resource_definition

_LABELS: Final = {"app": "x"}


def _pod_template(**spec: Any) -> KubeObject:
    container = {
        "name": "c",
        "image": "localhost/none:1",
        "ports": [{"containerPort": 80}],
        "env": [{"name": "A", "value": "1"}],
        "resources": {"requests": {"cpu": "100m", "memory": "0.5Gi"}, "limits": {"cpu": "1"}},
    }
    return {"metadata": {"labels": _LABELS}, "spec": {"containers": [container], **spec}}


def _job_spec() -> KubeObject:
    return {"template": _pod_template(restartPolicy="Never")}


_CLAIM: Final = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
_SELECTOR: Final = {"matchLabels": _LABELS}
_RULES: Final = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
_BACKEND: Final = {"service": {"name": "s", "port": {"number": 80}}}
_UTILIZATION: Final = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}


@dataclass(frozen=True, slots=True)
class CommonKind:
    """A kind, how it is served, and what an object of it has."""

    gvk: GroupVersionKind
    plural: str
    content: KubeObject
    namespaced: bool = True
    scalable: bool = False

    @property
    def name(self) -> str:
        return self.gvk.kind

    def path(self, namespace: str, name: str = "") -> str:
        root = f"/apis/{self.gvk.group}/{self.gvk.version}" if self.gvk.group else f"/api/{self.gvk.version}"
        scope = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{root}{scope}/{self.plural}" + (f"/{name}" if name else "")

    def object(self, namespace: str, name: str, **labels: str) -> KubeObject:
        """Return an object; one that is in no namespace has the namespace in its name."""
        meta: dict[str, Any] = {"name": name if self.namespaced else f"{namespace}-{name}"}
        if self.namespaced:
            meta["namespace"] = namespace
        if labels:
            meta["labels"] = labels
        return {"apiVersion": self.gvk.api_version, "kind": self.gvk.kind, "metadata": meta, **self.content}


def _kind(
    api_version: str, kind: str, plural: str, content: KubeObject, *, namespaced: bool = True, scalable: bool = False
) -> CommonKind:
    group, _, version = api_version.rpartition("/")
    return CommonKind(GroupVersionKind(group, version, kind), plural, content, namespaced, scalable)


OTHER: Final = _kind("common.test/v1", "Other", "others", {"spec": {"a": 1, "b": ["x", 1.5], "c": {}}})
OTHER_DEFINITION: Final = custom_resource_definition("common.test", "Other")

COMMON_KINDS: Final = (
    _kind("v1", "ConfigMap", "configmaps", {"data": {"a": "1", "b": "x\ny\n"}}),
    _kind("v1", "Secret", "secrets", {"stringData": {"a": "secret"}, "type": "Opaque"}),
    _kind("v1", "Service", "services", {"spec": {"selector": _LABELS, "ports": [{"port": 80, "targetPort": 8080}]}}),
    _kind("v1", "ServiceAccount", "serviceaccounts", {}),
    _kind("v1", "PersistentVolumeClaim", "persistentvolumeclaims", {"spec": _CLAIM}),
    _kind("v1", "Pod", "pods", {"spec": _pod_template()["spec"]}),
    _kind("v1", "ResourceQuota", "resourcequotas", {"spec": {"hard": {"pods": "1000"}}}),
    _kind("v1", "LimitRange", "limitranges", {"spec": {"limits": [{"type": "Container", "max": {"cpu": "8"}}]}}),
    _kind("v1", "Namespace", "namespaces", {}, namespaced=False),
    _kind(
        "apps/v1",
        "Deployment",
        "deployments",
        {"spec": {"replicas": 1, "selector": _SELECTOR, "template": _pod_template()}},
        scalable=True,
    ),
    _kind(
        "apps/v1",
        "StatefulSet",
        "statefulsets",
        {
            "spec": {
                "replicas": 1,
                "serviceName": "s",
                "selector": _SELECTOR,
                "template": _pod_template(),
                "volumeClaimTemplates": [{"metadata": {"name": "d"}, "spec": _CLAIM}],
            }
        },
        scalable=True,
    ),
    _kind("apps/v1", "DaemonSet", "daemonsets", {"spec": {"selector": _SELECTOR, "template": _pod_template()}}),
    _kind("batch/v1", "Job", "jobs", {"spec": _job_spec()}),
    _kind(
        "batch/v1",
        "CronJob",
        "cronjobs",
        {"spec": {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": _job_spec()}}},
    ),
    _kind(
        "networking.k8s.io/v1",
        "Ingress",
        "ingresses",
        {
            "spec": {
                "rules": [
                    {"host": "a.example", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": _BACKEND}]}}
                ]
            }
        },
    ),
    _kind(
        "networking.k8s.io/v1",
        "NetworkPolicy",
        "networkpolicies",
        {"spec": {"podSelector": _SELECTOR, "ingress": [{"from": [{"podSelector": {}}]}], "policyTypes": ["Ingress"]}},
    ),
    _kind("rbac.authorization.k8s.io/v1", "Role", "roles", {"rules": _RULES}),
    _kind(
        "rbac.authorization.k8s.io/v1",
        "RoleBinding",
        "rolebindings",
        {
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
            "subjects": [{"kind": "ServiceAccount", "name": "default"}],
        },
    ),
    _kind("rbac.authorization.k8s.io/v1", "ClusterRole", "clusterroles", {"rules": _RULES}, namespaced=False),
    _kind(
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        "horizontalpodautoscalers",
        {
            "spec": {
                "minReplicas": 1,
                "maxReplicas": 3,
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"},
                "metrics": [{"type": "Resource", "resource": _UTILIZATION}],
            }
        },
    ),
    _kind(
        "policy/v1", "PodDisruptionBudget", "poddisruptionbudgets", {"spec": {"minAvailable": 1, "selector": _SELECTOR}}
    ),
    _kind("tutorial.my.domain/v1", "Foo", "foos", {"spec": {"name": "nobody-here"}}),
    OTHER,
)
"""Of the built-in kinds those that roles make most; the project's own custom resource, and another.

The custom resources' definitions must be installed; that of `OTHER` is `OTHER_DEFINITION`.
"""
