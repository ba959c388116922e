"""A real etcd and kube-apiserver for a laptop and for CI, each in a data directory of its own.

`cli` and the tests call `controlplane`, which asks `binaries` for the programs and starts a `cluster`; that takes its
files from `certificates` and `credentials`, its command lines from `components`, and starts and ends programs through
`process`. `state` remembers what runs. `node` adds what Pods run on, where that is asked for.
`foreground` puts the operator on top (`make run`).
Linux only: process identity and death signals come from its kernel.
"""

__version__ = "0.1.0"
