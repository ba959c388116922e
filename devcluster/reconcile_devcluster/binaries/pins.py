"""Exactly which versions are wanted: the go.mod files, and one entry of the envtest release index.

The go.mod and go.sum files in `gomodules/` are the only place versions of the build are written down.
"""

from __future__ import annotations

import hashlib
import platform
import re
import sys
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from reconcile_devcluster.binaries import programs
from reconcile_devcluster.errors import DevclusterError

_MODULES = Path(str(resources.files("reconcile_devcluster"))) / "gomodules"
_VERSION_PACKAGE = "k8s.io/component-base/version"

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
"""Machine names of the kernel to Go's."""


@dataclass(frozen=True, slots=True)
class GoModule:
    """One directory with a go.mod that pins a program.

    Attributes:
        name: Its name in the cache.
        directory: Where go.mod and go.sum are.
        requirement: Module path whose version is the program's version.

    """

    name: str
    directory: Path
    requirement: str

    @property
    def version(self) -> str:
        """Version of the required module, for example `v1.34.4`."""
        return self._field(rf"^(?:require )?\s*{re.escape(self.requirement)} (v\S+)")

    @property
    def go_version(self) -> tuple[int, ...]:
        """The least version of Go that builds it, for example `(1, 26, 0)`."""
        return parse_version(self._field(r"^go (\S+)"))

    @property
    def cache_name(self) -> str:
        """Directory name in the cache: changes whenever anything that is built from changes."""
        digest = hashlib.sha256()
        for path in (self.directory / "go.mod", self.directory / "go.sum", *sorted(self.directory.rglob("*.go"))):
            digest.update(path.read_bytes())
        return f"{self.name}-{self.version}-{platform_name()}-{digest.hexdigest()[:16]}"

    def _field(self, pattern: str) -> str:
        path = self.directory / "go.mod"
        found = re.search(pattern, path.read_text(encoding="utf-8"), re.MULTILINE)
        if found is None:
            raise DevclusterError(f"{path}: nothing matches {pattern}")
        return found.group(1)


@dataclass(frozen=True, slots=True)
class GoProgram:
    """A program built from a Go module.

    Attributes:
        name: File name of the binary.
        module: What pins it.
        package: Import path of its main package.

    """

    name: str
    module: GoModule
    package: str

    @property
    def ldflags(self) -> str:
        """Linker flags: no symbols, and the version that Kubernetes' own build sets (v0.0.0 without)."""
        if self.module.requirement != KUBERNETES.requirement:
            return "-s -w"
        major, minor = parse_version(self.module.version)[:2]
        version = {"gitVersion": self.module.version, "gitMajor": major, "gitMinor": minor}
        return " ".join(["-s -w", *(f"-X {_VERSION_PACKAGE}.{name}={value}" for name, value in version.items())])


@dataclass(frozen=True, slots=True)
class Archive:
    """A published archive of binaries.

    Attributes:
        url: Its address.
        sha512: Its digest, hexadecimal.
        name: Its name in the cache.

    """

    url: str
    sha512: str
    name: str


KUBERNETES = GoModule("kubernetes", _MODULES / "kubernetes", "k8s.io/kubernetes")
KUBECTL = GoModule("kubectl", _MODULES / "kubectl", "k8s.io/kubernetes")
ETCD = GoModule("etcd", _MODULES / "etcd", "go.etcd.io/etcd/server/v3")

GO_PROGRAMS = {
    program.name: program
    for program in (
        GoProgram(programs.ETCD, ETCD, "go.etcd.io/etcd/server/v3"),
        GoProgram(programs.API_SERVER, KUBERNETES, "k8s.io/kubernetes/cmd/kube-apiserver"),
        GoProgram(programs.CONTROLLER_MANAGER, KUBERNETES, "k8s.io/kubernetes/cmd/kube-controller-manager"),
        GoProgram(programs.SCHEDULER, KUBERNETES, "k8s.io/kubernetes/cmd/kube-scheduler"),
        GoProgram(programs.KUBELET, KUBERNETES, "k8s.io/kubernetes/cmd/kubelet"),
        GoProgram(programs.KUBE_PROXY, KUBERNETES, "k8s.io/kubernetes/cmd/kube-proxy"),
        GoProgram(programs.PAUSE, KUBERNETES, "devcluster/kubernetes/pause"),
        GoProgram(programs.KUBECTL, KUBECTL, "k8s.io/kubernetes/cmd/kubectl"),
    )
}

# Addresses (`selfLink`) and digests (`hash`) are those of `envtest-releases.yaml`, the release index of
# kubernetes-sigs/controller-tools, as contained in its Go module sigs.k8s.io/controller-tools v0.23.0
# (h1:GFmPTaHSyje/kZv/4XOdR1v3rWz0/OJixwpPnGyV4Sw=), entry v1.34.1: the newest 1.34 in it.
ENVTEST_ARCHIVES = {
    "linux-amd64": Archive(
        url=(
            "https://github.com/kubernetes-sigs/controller-tools/releases/download/"
            "envtest-v1.34.1/envtest-v1.34.1-linux-amd64.tar.gz"
        ),
        sha512=(
            "c5e7c237ae18a8c65d0df1214b864ecd19aa9ff4f1383dbd477c202546d778c0"
            "f74efe15750ec38f57d8de26ba17cd62f404446cdd3c975399a5d4589de35cdd"
        ),
        name="envtest-v1.34.1-linux-amd64",
    ),
    "linux-arm64": Archive(
        url=(
            "https://github.com/kubernetes-sigs/controller-tools/releases/download/"
            "envtest-v1.34.1/envtest-v1.34.1-linux-arm64.tar.gz"
        ),
        sha512=(
            "bf13d2456183e66d084e28e1c9eed6a408fb77a06d8d1fd0461a7d9bc0c90b63"
            "d29ea67870b28f80d1f992acb026007d6f43987753c859c81d6a78bc1ca2c903"
        ),
        name="envtest-v1.34.1-linux-arm64",
    ),
}
"""Platform to archive of etcd, kube-apiserver and kubectl (there is no kube-controller-manager in it)."""


def platform_name() -> str:
    """Operating system and architecture as Go names them, for example `linux-amd64`."""
    return f"{sys.platform}-{architecture()}"


def architecture() -> str:
    """Architecture of this machine as Go and images name it, for example `amd64`."""
    machine = platform.machine()
    return _ARCHITECTURES.get(machine, machine)


def parse_version(text: str) -> tuple[int, ...]:
    """Numbers of a version such as `go1.26.8`, `v1.34.4` or `1.26`; what follows them is ignored."""
    found = re.match(r"(?:go|v)?(\d+(?:\.\d+)*)", text)
    if found is None:
        raise DevclusterError(f"not a version: {text!r}")
    return tuple(int(number) for number in found.group(1).split("."))
