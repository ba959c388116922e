"""A real node beside the control plane: containerd, kubelet and kube-proxy in namespaces of their own.

`cluster` drives a `Node`, which gives each part its turn: `requirements` says what is missing, `namespaces` holds
mounts, network and processes apart from the machine's, `network` and `cgroups` make the little that the machine itself
sees, `containerd`, `kubelet` and `kubeproxy` have configuration and command lines, `pauseimage` and `images` fill the
image store. `cleanup` removes all of it, also after a crash. Nothing of the machine's own is changed: its firewall, its
settings (sysctl) and its container runtimes are out of sight in there.
"""
