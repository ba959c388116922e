"""The kinds that Kubernetes serves: roles can be read without a cluster.

Written down from a real API server's discovery; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from reconcile_runner.apimachinery.objects import GroupVersionKind
from reconcile_runner.client.discovery import Resource

_CORE: Final = "core"

# Group, kind, plural, scope, subresources that matter to rights of roles.
_TABLE: Final = """
admissionregistration.k8s.io MutatingWebhookConfiguration mutatingwebhookconfigurations Cluster
admissionregistration.k8s.io ValidatingAdmissionPolicy validatingadmissionpolicies Cluster status
admissionregistration.k8s.io ValidatingAdmissionPolicyBinding validatingadmissionpolicybindings Cluster
admissionregistration.k8s.io ValidatingWebhookConfiguration validatingwebhookconfigurations Cluster
apiextensions.k8s.io CustomResourceDefinition customresourcedefinitions Cluster status
apiregistration.k8s.io APIService apiservices Cluster status
apps ControllerRevision controllerrevisions Namespaced
apps DaemonSet daemonsets Namespaced status
apps Deployment deployments Namespaced scale status
apps ReplicaSet replicasets Namespaced scale status
apps StatefulSet statefulsets Namespaced scale status
authentication.k8s.io SelfSubjectReview selfsubjectreviews Cluster
authentication.k8s.io TokenReview tokenreviews Cluster
authorization.k8s.io LocalSubjectAccessReview localsubjectaccessreviews Namespaced
authorization.k8s.io SelfSubjectAccessReview selfsubjectaccessreviews Cluster
authorization.k8s.io SelfSubjectRulesReview selfsubjectrulesreviews Cluster
authorization.k8s.io SubjectAccessReview subjectaccessreviews Cluster
autoscaling HorizontalPodAutoscaler horizontalpodautoscalers Namespaced status
batch CronJob cronjobs Namespaced status
batch Job jobs Namespaced status
certificates.k8s.io CertificateSigningRequest certificatesigningrequests Cluster status
coordination.k8s.io Lease leases Namespaced
core Binding bindings Namespaced
core ComponentStatus componentstatuses Cluster
core ConfigMap configmaps Namespaced
core Endpoints endpoints Namespaced
core Event events Namespaced
core LimitRange limitranges Namespaced
core Namespace namespaces Cluster status
core Node nodes Cluster status
core PersistentVolume persistentvolumes Cluster status
core PersistentVolumeClaim persistentvolumeclaims Namespaced status
core Pod pods Namespaced status
core PodTemplate podtemplates Namespaced
core ReplicationController replicationcontrollers Namespaced scale status
core ResourceQuota resourcequotas Namespaced status
core Secret secrets Namespaced
core Service services Namespaced status
core ServiceAccount serviceaccounts Namespaced
discovery.k8s.io EndpointSlice endpointslices Namespaced
events.k8s.io Event events Namespaced
flowcontrol.apiserver.k8s.io FlowSchema flowschemas Cluster status
flowcontrol.apiserver.k8s.io PriorityLevelConfiguration prioritylevelconfigurations Cluster status
networking.k8s.io IPAddress ipaddresses Cluster
networking.k8s.io Ingress ingresses Namespaced status
networking.k8s.io IngressClass ingressclasses Cluster
networking.k8s.io NetworkPolicy networkpolicies Namespaced
networking.k8s.io ServiceCIDR servicecidrs Cluster status
node.k8s.io RuntimeClass runtimeclasses Cluster
policy PodDisruptionBudget poddisruptionbudgets Namespaced status
rbac.authorization.k8s.io ClusterRole clusterroles Cluster
rbac.authorization.k8s.io ClusterRoleBinding clusterrolebindings Cluster
rbac.authorization.k8s.io Role roles Namespaced
rbac.authorization.k8s.io RoleBinding rolebindings Namespaced
resource.k8s.io DeviceClass deviceclasses Cluster
resource.k8s.io ResourceClaim resourceclaims Namespaced status
resource.k8s.io ResourceClaimTemplate resourceclaimtemplates Namespaced
resource.k8s.io ResourceSlice resourceslices Cluster
scheduling.k8s.io PriorityClass priorityclasses Cluster
storage.k8s.io CSIDriver csidrivers Cluster
storage.k8s.io CSINode csinodes Cluster
storage.k8s.io CSIStorageCapacity csistoragecapacities Namespaced
storage.k8s.io StorageClass storageclasses Cluster
storage.k8s.io VolumeAttachment volumeattachments Cluster status
storage.k8s.io VolumeAttributesClass volumeattributesclasses Cluster
"""


def builtin_resources() -> Iterator[Resource]:
    """Yield them, without version and verbs."""
    for line in _TABLE.strip().splitlines():
        group, kind, plural, scope, *subresources = line.split()
        gvk = GroupVersionKind("" if group == _CORE else group, "", kind)
        yield Resource(gvk, plural, scope == "Namespaced", frozenset(subresources))
