"""Make the OLM bundle of the objects that `config/default` installs; `manifests` writes it to `bundle/`.

OLM installs an operator from a ClusterServiceVersion (CSV), which holds the Deployment and the rights of its
ServiceAccount, and from a few other kinds beside it. What people read is in `config/manifests`, as with operator-sdk.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from reconcile_runner import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from reconcile_devcluster.api import KubeObject

CHANNEL = "alpha"

_MADE_BY_OLM = frozenset({"Namespace", "ServiceAccount", "Deployment", "Role", "RoleBinding", "ClusterRoleBinding"})
"""Kinds that are no files of a bundle: OLM makes them from the CSV, and the namespace is the installer's."""

_RENAMED = {"CustomResourceDefinition": "{name}.yaml", "ClusterServiceVersion": "{package}.clusterserviceversion.yaml"}
"""File names that tools look for; of other kinds it is name and kind."""

_GENERATED = "# Made from config/ by `make manifests`; change that instead.\n"


def read_base(directory: Path) -> KubeObject:
    """Return the CSV that people wrote, from the one file in this directory."""
    base: KubeObject = yaml.safe_load((directory / "clusterserviceversion.yaml").read_text(encoding="utf-8"))
    return base


def files(
    package: str, base: KubeObject, objects: Sequence[KubeObject], samples: Sequence[KubeObject]
) -> dict[str, str]:
    """Return the files of the bundle: path to text.

    Args:
        package: Name of the operator in a catalogue.
        base: The CSV that people wrote.
        objects: What `config/default` installs.
        samples: One or more objects of the operator's kinds.

    """
    manifests = [cluster_service_version(package, base, objects, samples), *_beside(objects)]
    return {
        **{f"manifests/{_file_name(package, one)}": _yaml(one) for one in manifests},
        "metadata/annotations.yaml": _yaml({"annotations": _annotations(package)}),
        "Dockerfile": _dockerfile(package),
    }


def cluster_service_version(
    package: str, base: KubeObject, objects: Sequence[KubeObject], samples: Sequence[KubeObject]
) -> KubeObject:
    """Return the CSV: what people wrote, with what `config/default` says."""
    csv = copy.deepcopy(base)
    [deployment] = _of_kind(objects, "Deployment")
    [namespace] = _of_kind(objects, "Namespace")
    image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    csv["metadata"] = {"name": f"{package}.v{__version__}", **csv["metadata"]}
    csv["metadata"]["annotations"] |= {
        "alm-examples": json.dumps(list(samples), indent=2),
        "containerImage": image,
        "operatorframework.io/suggested-namespace-template": json.dumps(_template(namespace)),
    }
    csv["spec"]["version"] = __version__
    csv["spec"]["install"] = {"strategy": "deployment", "spec": _strategy(deployment, objects)}
    return csv


def _strategy(deployment: KubeObject, objects: Sequence[KubeObject]) -> KubeObject:
    account = deployment["spec"]["template"]["spec"]["serviceAccountName"]
    name = deployment["metadata"]["name"]
    labels = deployment["metadata"]["labels"]
    return {
        "deployments": [{"name": name, "label": labels, "spec": deployment["spec"]}],
        "permissions": [{"serviceAccountName": account, "rules": _rules(objects, "Role", account)}],
        "clusterPermissions": [{"serviceAccountName": account, "rules": _rules(objects, "ClusterRole", account)}],
    }


def _rules(objects: Sequence[KubeObject], kind: str, account: str) -> list[KubeObject]:
    """Return the rules of all roles of a kind that are bound to the account."""
    bound = _bound_roles(objects, account)
    return [rule for role in _of_kind(objects, kind) if _identity(role) in bound for rule in role["rules"]]


def _bound_roles(objects: Sequence[KubeObject], account: str) -> set[tuple[str, str]]:
    bindings = [*_of_kind(objects, "RoleBinding"), *_of_kind(objects, "ClusterRoleBinding")]
    return {
        (binding["roleRef"]["kind"], binding["roleRef"]["name"])
        for binding in bindings
        if any(subject["kind"] == "ServiceAccount" and subject["name"] == account for subject in binding["subjects"])
    }


def _beside(objects: Sequence[KubeObject]) -> Iterator[KubeObject]:
    """Return the objects that are files of their own, without namespace: OLM puts them where it installs."""
    accounts = [account["metadata"]["name"] for account in _of_kind(objects, "ServiceAccount")]
    bound = {role for account in accounts for role in _bound_roles(objects, account)}
    for one in objects:
        if one["kind"] in _MADE_BY_OLM or _identity(one) in bound:
            continue
        metadata = {name: value for name, value in one["metadata"].items() if name != "namespace"}
        yield one | {"metadata": metadata}


def _template(namespace: KubeObject) -> KubeObject:
    metadata = namespace["metadata"]
    security = {key: value for key, value in metadata["labels"].items() if key.startswith("pod-security")}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": metadata["name"], "labels": security}}


def _of_kind(objects: Sequence[KubeObject], kind: str) -> list[KubeObject]:
    return [one for one in objects if one["kind"] == kind]


def _identity(one: KubeObject) -> tuple[str, str]:
    return one["kind"], one["metadata"]["name"]


def _file_name(package: str, one: KubeObject) -> str:
    kind, name = _identity(one)
    return _RENAMED.get(kind, f"{name}.{kind.lower()}.yaml").format(name=name, package=package)


def _annotations(package: str) -> dict[str, str]:
    prefix = "operators.operatorframework.io.bundle"
    return {
        f"{prefix}.mediatype.v1": "registry+v1",
        f"{prefix}.manifests.v1": "manifests/",
        f"{prefix}.metadata.v1": "metadata/",
        f"{prefix}.package.v1": package,
        f"{prefix}.channels.v1": CHANNEL,
        f"{prefix}.channel.default.v1": CHANNEL,
    }


def _dockerfile(package: str) -> str:
    labels = "".join(f"LABEL {name}={value}\n" for name, value in _annotations(package).items())
    return f"{_GENERATED}FROM scratch\n{labels}COPY manifests/ /manifests/\nCOPY metadata/ /metadata/\n"


class _Dumper(yaml.SafeDumper):
    """YAML as people write it: texts of several lines as blocks, nothing by reference."""

    def ignore_aliases(self, _data: object) -> bool:
        return True


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def _yaml(content: KubeObject) -> str:
    # OLM reads the first document alone, and a comment above `---` is an empty one.
    return "---\n" + _GENERATED + yaml.dump(content, Dumper=_Dumper, sort_keys=False, width=110)
