"""A real etcd and kube-apiserver for a laptop and for CI, each in a data directory of its own.

`cli` (`python -m devcluster`) and the tests call `controlplane`, which asks `binaries` for the programs, `certificates` and
`credentials` for the files, `components` for the command lines, and `process` to start and end them; `state` remembers
what runs. Linux only: process identity and death signals come from its kernel.
"""
