"""The names that must not become variables, compared with what each supported ansible-core says of itself.

A new core that knows another dangerous name, or another key that its JSON decoder treats specially, fails here.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from reconcile_runner.compat import is_dropped_variable
from reconcile_runner.execution.pool import SubprocessEngine
from reconcile_runner.reconciler.extravars import MARKER_KEYS
from tests.support import cores
from tests.support.jobs import make_job

pytestmark = pytest.mark.timeout(300)

KEPT_MAGIC = {"environment", "namespace", "vars"}
"""Names that Ansible or Jinja use, and that a field may have all the same: ``environment`` and ``vars`` are set by
Ansible after extra vars, so that a field cannot change what they do; few roles call Jinja's ``namespace``."""

KEPT_KEYWORDS = {
    "action", "always", "any_errors_fatal", "args", "async", "async_val", "become", "become_exe", "become_flags",
    "become_method", "become_user", "block", "changed_when", "check_mode", "collections", "connection", "debugger",
    "delay", "delegate_facts", "delegate_to", "diff", "environment", "fact_path", "failed_when", "force_handlers",
    "gather_facts", "gather_subset", "gather_timeout", "handlers", "hosts", "ignore_errors", "ignore_unreachable",
    "local_action",
    "loop", "loop_control", "loop_with", "max_fail_percentage", "module_defaults", "name", "namespace", "no_log",
    "notify", "order", "poll", "port", "post_tasks", "pre_tasks", "register", "remote_user", "rescue", "retries",
    "roles", "run_once", "serial", "strategy", "tags", "tasks", "throttle", "timeout", "until",
    "validate_argspec", "vars", "vars_files", "vars_prompt", "when", "with_",
}  # fmt: skip
"""Keywords of plays and tasks: no variable of such a name changes what a play does, and many are ordinary fields."""

ASK_CORE = """
import json, re, sys
from pathlib import Path
import ansible, jinja2.defaults, yaml
from ansible import constants as C
from ansible.vars.reserved import get_reserved_names

try:
    from ansible._internal._json._profiles import _legacy
    from ansible._internal._templating._engine import TemplateEngine
    markers, environment = set(_legacy._Profile.deserialize_map), TemplateEngine().environment
except ImportError:  # before ansible-core 2.19
    import inspect
    from ansible.parsing.ajson import AnsibleJSONDecoder
    from ansible.template import Templar
    markers = set(re.findall(r"'(__ansible_\\w+)'", inspect.getsource(AnsibleJSONDecoder)))
    environment = Templar(None).environment

def option_variables():
    base = Path(ansible.__file__).parent
    documents = [yaml.safe_load((base / "config/base.yml").read_text())]
    for path in (base / "plugins").rglob("*.py"):
        found = re.search(r"DOCUMENTATION\\s*=\\s*r?(\\"{3}|'{3})(.*?)\\1", path.read_text(), re.S)
        if found:
            documents.append((yaml.safe_load(found[2]) or {}).get("options") or {})
    return {v["name"] for options in documents for o in options.values() for v in (o.get("vars") or [])}

json.dump({
    "magic": sorted({*C.INTERNAL_STATIC_VARS, *C.COMMON_CONNECTION_VARS,
                     *(name for names in C.MAGIC_VARIABLE_MAPPING.values() for name in names)}),
    "globals": sorted({*environment.globals, *jinja2.defaults.DEFAULT_NAMESPACE}),
    "options": sorted(option_variables()),
    "reserved": sorted(get_reserved_names()),
    "has_types": "TemplateEngine" in globals(),
    "markers": sorted(markers),
}, sys.stdout)
"""


@pytest.fixture(params=cores.EACH, scope="module")
def ansible_playbook(request: pytest.FixtureRequest) -> Path:
    try:
        return cores.ansible_playbook(request.param)
    except cores.NoInterpreterError as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def core(ansible_playbook: Path) -> dict[str, Any]:
    asked = [str(ansible_playbook.with_name("python")), "-c", ASK_CORE]
    answer: dict[str, Any] = json.loads(subprocess.run(asked, capture_output=True, check=True).stdout)
    return answer


def kept(names: list[str]) -> set[str]:
    return {name for name in names if not is_dropped_variable(name)}


def test_the_decoders_special_keys_are_those_that_are_refused(core: dict[str, Any]) -> None:
    expected = MARKER_KEYS if core["has_types"] else MARKER_KEYS - {"__ansible_type"}
    assert set(core["markers"]) == expected


def test_no_field_becomes_one_of_cores_own_variables(core: dict[str, Any]) -> None:
    assert kept(core["magic"]) == set()


def test_no_field_hides_a_function_of_templates(core: dict[str, Any]) -> None:
    assert kept(core["globals"]) == {"namespace"}


def test_no_field_sets_an_option_of_a_plugin(core: dict[str, Any]) -> None:
    # One spelling in the documentation of a connection plugin is an expression; core's own tests use the other.
    assert {name for name in kept(core["options"]) if name.isidentifier()} <= {"_z_test_entry"}


def test_the_reserved_names_that_fields_may_have_are_keywords_alone(core: dict[str, Any]) -> None:
    assert kept(core["reserved"]) <= KEPT_KEYWORDS


async def test_no_field_becomes_a_variable_that_a_role_finds_set_without_it(
    ansible_playbook: Path, tmp_path: Path
) -> None:
    engine = SubprocessEngine(ansible_playbook)
    await engine.start()
    try:
        seen = tmp_path / "names.json"
        result = await engine.run(make_job(tmp_path, "roles/lists", {"seen": str(seen)}), lambda _event: None)
        assert result.succeeded, result.message
        names = json.loads(seen.read_bytes())
        assert "inventory_hostname" in names
        assert kept(names) <= KEPT_MAGIC | {"seen"}
    finally:
        await engine.stop()
