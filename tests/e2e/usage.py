"""What the operator's container costs: memory and CPU, as its control group counts them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.e2e.deployed import Deployed

MEBIBYTE = 2**20

# Every half second: bytes in use, those of file pages to drop first, nanoseconds of CPU (cgroups 2, else 1).
_SAMPLE = """
cd /sys/fs/cgroup
while :; do
  if [ -e memory.current ]; then
    read -r used <memory.current
    inactive=$(sed -n 's/^inactive_file //p' memory.stat)
    cpu=$(sed -n 's/^usage_usec //p' cpu.stat)000
  else
    read -r used <memory/memory.usage_in_bytes
    inactive=$(sed -n 's/^total_inactive_file //p' memory/memory.stat)
    read -r cpu <cpuacct/cpuacct.usage
  fi
  echo "$used $inactive $cpu"
  sleep 0.5
done
"""


@dataclass(frozen=True)
class Sample:
    """``working_set`` in bytes, as the kubelet reckons it and kills by; ``cpu`` in seconds since the start."""

    working_set: int
    cpu: float


@dataclass
class Usage:
    """Samples of one container, half a second from each other."""

    samples: list[Sample] = field(default_factory=list)

    @property
    def peak(self) -> float:
        """Return the largest working set, in MiB."""
        return max(sample.working_set for sample in self.samples) / MEBIBYTE

    @property
    def cpu(self) -> float:
        """Return the seconds of CPU that were spent from the first sample to the last."""
        return self.samples[-1].cpu - self.samples[0].cpu


@contextmanager
def measured(operator: Deployed, pod: str) -> Iterator[Usage]:
    """Sample the operator's container until the block ends. The shell that does so costs it about 1 MiB."""
    usage, first = Usage(), threading.Event()
    arguments = ("exec", "--namespace", operator.namespace, pod, "--", "/bin/sh", "-c", _SAMPLE)
    with operator.kubectl.started(*arguments) as process:

        def read() -> None:
            for line in process.stdout or ():
                used, inactive, cpu = map(int, line.split())
                usage.samples.append(Sample(used - inactive, cpu / 1e9))
                first.set()

        reader = threading.Thread(target=read, name=f"usage of {pod}", daemon=True)
        reader.start()
        assert first.wait(timeout=30), "no sample came"
        yield usage
        last = len(usage.samples)
        while len(usage.samples) == last and reader.is_alive():
            reader.join(timeout=0.1)
        process.kill()
        reader.join(timeout=10)
