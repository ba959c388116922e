"""What an object's author writes is data, on every supported ansible-core, under both engines.

Each payload would write a canary file if anything took it for a template. Each test has a control beside it that shows
the same payload at work without the protection, so that the test can fail.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from reconcile_runner.apimachinery.objects import KubeObject
from reconcile_runner.execution.forkserver.engine import ForkserverEngine
from reconcile_runner.execution.job import RunResult
from reconcile_runner.execution.pool import Engine, SubprocessEngine
from reconcile_runner.reconciler.extravars import UNSAFE_KEY, make_extra_vars
from reconcile_runner.watches.watch import Watch
from tests.support import cores
from tests.support.jobs import GVK, PROJECTS, make_job

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(params=cores.EACH, scope="module")
def core(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture(scope="module")
def ansible_playbook(core: str) -> Path:
    try:
        return cores.ansible_playbook(core)
    except cores.NoInterpreterError as missing:
        pytest.skip(str(missing))


@pytest.fixture(params=[SubprocessEngine, ForkserverEngine], ids=["subprocess", "forkserver"])
async def engine(request: pytest.FixtureRequest, ansible_playbook: Path) -> AsyncIterator[Engine]:
    engine: Engine = request.param(ansible_playbook)
    await engine.start()
    yield engine
    await engine.stop()


class Canaries:
    """Payloads, each of which writes a file of its own when it is evaluated."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir()

    def payload(self, name: str, text: str = "{{ lookup('pipe', 'touch %s') }}") -> str:
        return text % (self.directory / name)

    @property
    def dead(self) -> set[str]:
        return {path.name for path in self.directory.iterdir()}


@pytest.fixture
def canaries(tmp_path: Path) -> Canaries:
    return Canaries(tmp_path / "canaries")


EVALUATED_WHEN_UNMARKED = {"plain", "in_map", "in_list", "annotation", "label", "status", "query"}


def hostile_object(canaries: Canaries) -> KubeObject:
    payload = canaries.payload
    return {
        "apiVersion": "tutorial.my.domain/v1",
        "kind": "Foo",
        "metadata": {
            "name": payload("name"),
            "namespace": "default",
            "labels": {"team": payload("label"), payload("label_key"): "x"},
            "annotations": {"note": payload("annotation"), payload("annotation_key"): "x"},
        },
        "spec": {
            "plain": payload("plain"),
            "nested": {
                "inMap": payload("in_map"),
                "inList": [{"deep": payload("in_list")}],
                "statement": payload("statement", "{%% set x = lookup('pipe', 'touch %s') %%}"),
                "query": payload("query", "{{ query('ansible.builtin.pipe', 'touch %s') }}"),
                "header": payload(
                    "header",
                    "#jinja2: variable_start_string: '[[', variable_end_string: ']]'\n[[ lookup('pipe', 'touch %s') ]]",
                ),
                payload("key"): "value of a key that is a template",
                "yamlTag": "!unsafe x",
                "unicode": "gruß, 世界, \x85 \u2028 \x7f",
            },
            payload("top_level_key"): "x",
        },
        "status": {"message": payload("status")},
    }


async def run(engine: Engine, tmp_path: Path, watch: Watch, obj: KubeObject) -> tuple[RunResult, Any]:
    seen = tmp_path / "seen.json"
    variables = make_extra_vars(watch, obj)
    job = make_job(tmp_path / "runs", "unsafe.yml", variables.data)
    result = await engine.run(job, lambda _event: None)
    return result, orjson.loads(seen.read_bytes()) if seen.exists() else None


def watch_for(tmp_path: Path, **options: Any) -> Watch:
    mapped = "{{ _tutorial_my_domain_foo_spec.plain }}"
    own = {"seen": str(tmp_path / "seen.json"), "friend": mapped, **options.pop("vars", {})}
    return Watch(GVK, playbook=PROJECTS / "unsafe.yml", vars=own, **options)


async def test_no_payload_is_evaluated_and_the_literal_text_arrives(
    engine: Engine, tmp_path: Path, canaries: Canaries
) -> None:
    obj = hostile_object(canaries)
    result, seen = await run(engine, tmp_path, watch_for(tmp_path), obj)
    assert canaries.dead == set()
    assert result.succeeded, result.message
    assert seen["object"] == obj
    assert seen["plain"] == obj["spec"]["plain"]
    assert seen["friend"] == obj["spec"]["plain"], "also by way of a variable of the watch, which is a template"
    assert seen["nested"]["in_list"] == obj["spec"]["nested"]["inList"]
    assert obj["spec"]["plain"] in seen["greeting"]


async def test_control_the_payloads_work_when_unmarked(engine: Engine, tmp_path: Path, canaries: Canaries) -> None:
    obj = hostile_object(canaries)
    obj["spec"]["nested"].pop("statement")  # evaluated to nothing, it would end the run before the rest
    watch = watch_for(tmp_path, mark_unsafe=False)
    await run(engine, tmp_path, watch, obj)
    assert canaries.dead >= EVALUATED_WHEN_UNMARKED


async def test_a_field_cannot_choose_the_interpreter(engine: Engine, tmp_path: Path, canaries: Canaries) -> None:
    obj = hostile_object(canaries) | {"spec": hostile_object(canaries)["spec"] | _interpreter(tmp_path, canaries)}
    result, _ = await run(engine, tmp_path, watch_for(tmp_path), obj)
    assert canaries.dead == set()
    assert result.succeeded, result.message


async def test_control_that_interpreter_works_when_the_watch_chooses_it(
    engine: Engine, tmp_path: Path, canaries: Canaries
) -> None:
    chosen = {"ansible_python_interpreter": _interpreter(tmp_path, canaries)["ansiblePythonInterpreter"]}
    await run(engine, tmp_path, watch_for(tmp_path, vars=chosen), hostile_object(canaries))
    assert canaries.dead == {"interpreter"}


def _interpreter(tmp_path: Path, canaries: Canaries) -> dict[str, str]:
    script = tmp_path / "interpreter"
    script.write_text(f"#!/bin/sh\ntouch {canaries.directory / 'interpreter'}\nexit 1\n", encoding="utf-8")
    script.chmod(0o700)
    return {"ansiblePythonInterpreter": str(script)}


def undecodable(canaries: Canaries, tmp_path: Path, core: str) -> bytes:
    """Return variables at which Ansible's JSON decoder fails, with a payload that is marked well."""
    payload = {UNSAFE_KEY: canaries.payload("fallback")}
    variables = {
        "broken": {"__ansible_vault": {UNSAFE_KEY: "x"}},
        "plain": payload,
        "nested": {"in_map": payload, "in_list": []},
        "_tutorial_my_domain_foo": {"metadata": {"annotations": {}}},
        "_tutorial_my_domain_foo_spec": {},
        "ansible_operator_meta": {"name": "x"},
        "friend": payload,
        "seen": str(tmp_path / "seen.json"),
    }
    if core in cores.BEFORE_219:
        # There the decoder takes any value of its keys. YAML has comments, JSON has none.
        return orjson.dumps({**variables, "broken": None}) + b"  # no JSON"
    return orjson.dumps(variables)


async def test_variables_that_do_not_decode_fail_the_run_instead_of_becoming_yaml(
    engine: Engine, tmp_path: Path, canaries: Canaries, core: str
) -> None:
    not_yaml = make_extra_vars(watch_for(tmp_path), {"metadata": {}}).data[:1]
    data = not_yaml + undecodable(canaries, tmp_path, core)
    result = await engine.run(make_job(tmp_path / "runs", "unsafe.yml", data), lambda _event: None)
    assert canaries.dead == set()
    assert not result.succeeded
    assert result.stats is None


async def test_control_the_same_variables_become_yaml_without_the_first_byte(
    engine: Engine, tmp_path: Path, canaries: Canaries, core: str
) -> None:
    data = undecodable(canaries, tmp_path, core)
    await engine.run(make_job(tmp_path / "runs", "unsafe.yml", data), lambda _event: None)
    assert canaries.dead == {"fallback"}
