"""What a second run calls changed: through the operator as with ansible-playbook alone, for each kind and way.

The table of docs/reference/second-run.md is what this test finds; `make changed-matrix` writes it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import pytest
import yaml

from reconcile_devcluster.cluster import Cluster
from tests.support.ansible_support import clean_environment, run_playbook
from tests.support.commonkinds import COMMON_KINDS, OTHER, OTHER_DEFINITION
from tests.support.operator_process import REPOSITORY, Kube, eventually, foo_path, operator
from tools.testing.operator import OperatorProcessError

pytestmark = [pytest.mark.timeout(600), pytest.mark.exhaustive]

Table: TypeAlias = dict[tuple[str, str], str]
"""What became of an object, by its kind and the way in which it was made."""

PAGE: Final = REPOSITORY / "docs" / "reference" / "second-run.md"
BEGIN, END = "<!-- made by make changed-matrix -->", "<!-- until here -->"
WRITES_PAGE: Final = "WRITE_CHANGED_MATRIX"

SSA = {"apply": True, "server_side_apply": {"field_manager": "matrix", "force_conflicts": True}}
WHOLE: Final[Mapping[str, Mapping[str, Any]]] = {
    "present": {"state": "present"},
    "apply": {"apply": True},
    "server-side apply": SSA,
    "force": {"state": "present", "force": True},
    "merge": {"state": "present", "merge_type": ["merge"]},
}
"""Ways of making a whole object: the options of `kubernetes.core.k8s` for each."""
WAYS: Final = (*WHOLE, "template", "patched", "json_patch", "scale")
WATCHED: Final = "Foo, the run's own"


def objects(way: str) -> list[dict[str, Any]]:
    """Return an object of each kind, by a name of the way's own. The namespace is a template."""
    prefix = way.replace("_", "-").replace(" ", "-")
    made = []
    for kind in COMMON_KINDS:
        obj = kind.object("{{ ns }}", f"{prefix}-{kind.name.lower()}", l="v")
        made.append(obj)
    return made


def named(obj: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that name an object."""
    meta = obj["metadata"]
    named = {"kind": obj["kind"], "api_version": obj["apiVersion"], "name": meta["name"]}
    return named | ({"namespace": meta["namespace"]} if "namespace" in meta else {})


def own_foo(**metadata: Any) -> dict[str, Any]:
    """Return the object that the run is for."""
    meta = {"name": "{{ own_name }}", "namespace": "{{ ns }}", **metadata}
    return {"apiVersion": "tutorial.my.domain/v1", "kind": "Foo", "metadata": meta}


def tasks() -> Iterator[dict[str, Any]]:
    """Yield the role's tasks: one for each way, or one for each object where a module takes one alone."""
    k8s, jumps = "kubernetes.core.k8s", {"continue_on_error": True}
    for way, options in WHOLE.items():
        yield {"name": way, k8s: {**options, **jumps, "definition": objects(way)}}
    yield {"name": "template", k8s: {"state": "present", **jumps, "template": "objects.yml.j2"}}
    some = [{**one, "metadata": {**one["metadata"], "labels": {"l": "v"}}} for one in objects("present")]
    partial = [{name: one[name] for name in ("apiVersion", "kind", "metadata")} for one in some]
    yield {"name": "patched", k8s: {"state": "patched", **jumps, "definition": [*partial, own_foo(labels={"l": "v"})]}}
    patch = [{"op": "replace", "path": "/metadata/labels/l", "value": "v"}]
    for one in [*objects("present"), own_foo()]:
        yield {"name": "json_patch", "kubernetes.core.k8s_json_patch": {**named(one), "patch": patch}}
    for kind, one in zip(COMMON_KINDS, objects("present"), strict=True):
        if kind.scalable:
            yield {"name": "scale", "kubernetes.core.k8s_scale": {**named(one), "replicas": 1, "wait": False}}


def write_role(directory: Path) -> Path:
    """Write a role that makes every object in every way, and then writes down what each module said."""
    role = directory / "matrix"
    for name in ("tasks", "templates"):
        (role / name).mkdir(parents=True)
    numbered = [{**task, "register": f"said_{number}", "failed_when": False} for number, task in enumerate(tasks())]
    said = ", ".join(f"[{json.dumps(task['name'])}, said_{number}]" for number, task in enumerate(numbered))
    count = "{{ lookup('ansible.builtin.fileglob', out ~ '/*.json', wantlist=True) | length + 1 }}"
    last = {
        "name": "Tell",
        "ansible.builtin.copy": {
            "content": f"{{{{ [{said}] | to_json }}}}",
            "dest": "{{ out }}/" + count + ".json",
            "mode": "0600",
        },
    }
    (role / "tasks" / "main.yml").write_text(yaml.safe_dump([*numbered, last], sort_keys=False))
    (role / "templates" / "objects.yml.j2").write_text(yaml.safe_dump_all(objects("template")))
    return role


def table_of(path: Path) -> Table:
    """Read what the modules of one run said."""
    table: Table = {}
    single = {"json_patch": iter([*KINDS, WATCHED]), "scale": (kind.name for kind in COMMON_KINDS if kind.scalable)}
    for way, result in json.loads(path.read_text()):
        if way in single:
            table[next(single[way]), way] = verdict(result)
            continue
        results = result["result"]["results"]
        for kind, one in zip([*KINDS, WATCHED], results, strict=False):
            table[kind, way] = verdict(one)
        assert len(results) >= len(KINDS), result
    return table


def verdict(result: Mapping[str, Any]) -> str:
    if result.get("error") or result.get("msg"):
        return "refused"
    return "changed" if result["changed"] else "unchanged"


KINDS: Final = tuple(kind.name for kind in COMMON_KINDS)


@dataclass(frozen=True)
class Rounds:
    """The first two runs by one system."""

    first: Table
    second: Table


def of_playbook(cluster: Cluster, directory: Path, role: Path) -> Rounds:
    """Run the role twice by ansible-playbook, with the API server's own kubeconfig."""
    namespace, out = "matrix-direct", directory / "direct"
    prepare(Kube(cluster.api), namespace, out)
    play = directory / "direct.yml"
    play.write_text(yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "roles": [str(role)]}]))
    environment = clean_environment(directory, K8S_AUTH_KUBECONFIG=str(cluster.kubeconfig))
    variables = json.dumps({"ns": namespace, "out": str(out), "own_name": "own"})
    for _ in range(2):
        done = run_playbook(play, environment, "-e", variables)
        assert done.returncode == 0, done.stdout + done.stderr
    return Rounds(table_of(out / "1.json"), table_of(out / "2.json"))


def of_operator(cluster: Cluster, directory: Path, role: Path) -> Rounds:
    """Run the role by an operator that has every kind in its cache, whole."""
    namespace, out, kube = "matrix-operator", directory / "operator", Kube(cluster.api)
    match = {"source": "spec.nobody", "field": "spec.nobody"}
    triggers = [
        {"group": kind.gvk.group, "version": kind.gvk.version, "kind": kind.name, "match": match, "events": ["created"]}
        for kind in COMMON_KINDS
    ]
    watch = {
        "group": "tutorial.my.domain",
        "version": "v1",
        "kind": "Foo",
        "role": str(role),
        "selector": {"matchLabels": {"run": "matrix"}},
        "vars": {"ns": namespace, "out": str(out), "own_name": "own"},
        "finalizer": {"name": "matrix.test/cleanup", "vars": {"phase": "cleanup"}},
        "triggers": triggers,
    }
    watches = directory / "watches.yaml"
    watches.write_text(yaml.safe_dump([watch]))
    prepare(kube, namespace, out)
    own = foo_path(namespace, "own")
    with operator(cluster.kubeconfig, watches, env={"ANSIBLE_GATHERING": "explicit"}) as running:
        running.wait_ready()
        for number in (1, 2):
            try:
                eventually(lambda number=number: (out / f"{number}.json").exists(), f"run {number}", deadline=300)  # type: ignore[misc]
            except OperatorProcessError as error:
                raise AssertionError(f"{error}: {running.text()[-6000:]}") from error
            kube.patch(own, {"metadata": {"annotations": {"reconcile-runner/reconcile-now": str(number)}}})
        assert cached(running.metrics()) > 0
    kube.patch(own, {"metadata": {"finalizers": None}})
    return Rounds(table_of(out / "1.json"), table_of(out / "2.json"))


def cached(metrics: str) -> float:
    line = next(
        line for line in metrics.splitlines() if line.startswith('reconcile_runner_proxy_requests_total{answer="cache"')
    )
    return float(line.split()[1])


def prepare(kube: Kube, namespace: str, out: Path) -> None:
    out.mkdir()
    kube.create_namespace(namespace)
    kube.create_foo(namespace, "own", "nobody-here", labels={"run": "matrix", "l": "before"})


@pytest.fixture(scope="module")
def rounds(foo_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> tuple[Rounds, Rounds]:
    """Return what the operator's runs said, and ansible-playbook's."""
    directory = tmp_path_factory.mktemp("matrix")
    kube = Kube(foo_cluster.api)
    kube.api.call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", OTHER_DEFINITION)
    eventually(lambda: kube.exists(OTHER.path("default")), "the other kind to be served")
    role = write_role(directory)
    return of_operator(foo_cluster, directory, role), of_playbook(foo_cluster, directory, role)


def test_a_run_calls_changed_what_ansible_playbook_calls_changed(rounds: tuple[Rounds, Rounds]) -> None:
    through, direct = rounds
    assert differences(through.first, direct.first) == {}
    assert differences(through.second, direct.second) == {}
    assert "changed" in direct.first.values()


def differences(one: Table, other: Table) -> dict[tuple[str, str], tuple[str | None, str | None]]:
    return {
        cell: (one.get(cell), other.get(cell)) for cell in one.keys() | other.keys() if one.get(cell) != other.get(cell)
    }


def test_the_page_says_what_second_runs_call_changed(rounds: tuple[Rounds, Rounds]) -> None:
    through, direct = rounds
    table = "\n".join(lines(through.second, direct.second))
    text = PAGE.read_text()
    head, rest = text.split(BEGIN)
    _, tail = rest.split(END)
    made = f"{head}{BEGIN}\n\n{table}\n\n{END}{tail}"
    if os.environ.get(WRITES_PAGE):
        PAGE.write_text(made)
        return
    assert text == made, "make changed-matrix writes it"


SIGNS = {"changed": "**changed**", "unchanged": "-", "refused": "refused"}


def lines(through: Table, direct: Table) -> Iterator[str]:
    """Yield the lines of the page's table."""
    yield "| Kind | " + " | ".join(WAYS) + " |"
    yield "|---|" + "---|" * len(WAYS)
    for kind in (*KINDS, WATCHED):
        cells = []
        for way in WAYS:
            pair = [SIGNS[table[kind, way]] if (kind, way) in table else "" for table in (through, direct)]
            cells.append(" · ".join(pair) if any(pair) else "")
        yield f"| {kind} | " + " | ".join(cells) + " |"
