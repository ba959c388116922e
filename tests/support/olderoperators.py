"""Three operator directories in the common styles, written for ansible-core 2.18, and what each makes of its sample.

Nothing in the directories knows of this project, nor of a newer core.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from reconcile_devcluster.api import ApiServer
from tests.support.hosting import Hosted
from tests.support.operator_process import eventually
from tests.support.paths import TESTDATA

CORE: Final = "2.18"
"""The ansible-core that they were written for."""


@dataclass(frozen=True, slots=True)
class OlderOperator:
    """One of the directories.

    Attributes:
        name: Its directory, and the prefix of what its manifests install.
        kind: The kind that it serves.
        group: That kind's group.
        content: The role or playbook that it runs for an object.
        made: ConfigMaps that it makes, by what stands behind the object's name in theirs, with data of theirs.
        status: Fields that its role writes into the object's status.
        is_status_managed: Whether the operator writes conditions for it.

    """

    name: str
    kind: str
    group: str
    content: str
    made: dict[str, dict[str, str]]
    status: dict[str, Any]
    is_status_managed: bool = True

    @property
    def directory(self) -> Path:
        return TESTDATA / "operators-of-2.18" / self.name

    @property
    def crds(self) -> Path:
        return self.directory / "config" / "crd" / "bases"

    def create(self, api: ApiServer, namespace: str) -> Hosted:
        """Create the directory's sample."""
        (file,) = (self.directory / "config" / "samples").glob("*_v1alpha1_*.yaml")
        body = yaml.safe_load(file.read_text())
        collection = f"/apis/{self.group}/v1alpha1/namespaces/{namespace}/{self.kind.lower()}s"
        api.call("POST", collection, body)
        return Hosted(api, collection, body["metadata"]["name"])

    def is_served(self, sample: Hosted, namespace: str) -> None:
        """Wait until everything is made of the sample that the role makes."""
        for suffix, data in self.made.items():
            config_map = Hosted(sample.api, f"/api/v1/namespaces/{namespace}/configmaps", f"{sample.name}{suffix}")
            config_map.appears()
            assert config_map.data.items() >= data.items(), f"{config_map.path} holds {config_map.data}"
        eventually(lambda: sample.status.items() >= self.status.items(), f"{sample.path} to say {self.status}")


OPERATORS: Final = (
    OlderOperator(
        "memcached-operator",
        "Memcached",
        "cache.example.org",
        "roles/memcached",
        {"-config": {"summary": "0 settings of the cluster", "memcached.conf": "[memcached]\n\n"}},
        {},
    ),
    OlderOperator(
        "queue-operator",
        "Queue",
        "messaging.example.org",
        "playbooks/queue.yml",
        {"-topics": {"policy": "2-topics", "topics": "events,commands", "policies": "\n"}},
        {},
    ),
    OlderOperator(
        "webapp-operator",
        "Webapp",
        "charts.example.org",
        "roles/webapp",
        {"": {"workers": "auto"}},
        {"rendered": "3 objects", "hosts": "none"},
        is_status_managed=False,
    ),
)
