"""A filter that tells which kubeconfig a library takes by default in the play's process."""

from kubernetes.config import kube_config


class FilterModule:
    def filters(self):
        return {"default_kubeconfig": lambda _value: kube_config.KUBE_CONFIG_DEFAULT_LOCATION}
