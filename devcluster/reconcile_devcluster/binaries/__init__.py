"""Where etcd, kube-apiserver and kube-controller-manager come from.

`finder` asks the sources one after the other and says so; `pins` names what exactly is wanted; `cache` keeps what was
downloaded (`archive`) or built (`gobuild`, with Go from `gotoolchain`).
"""
