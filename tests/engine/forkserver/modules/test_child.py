"""Which payloads are taken: those of exactly the shape that Ansible writes. How they run: ``test_modulehost``."""

from __future__ import annotations

import base64
import dataclasses
import importlib
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from reconcile_runner.execution.forkserver.modules.archives import Archives
from reconcile_runner.execution.forkserver.modules.child import Module, Stock, is_archive, parse
from reconcile_runner.execution.forkserver.modules.host import ModuleHost
from reconcile_runner.execution.forkserver.modules.importsystem import ImportSystem
from reconcile_runner.execution.forkserver.modules.preload import TargetModules
from tests.engine.forkserver.modules.test_host import serve
from tests.support import fresh
from tests.support.payloads import MODULE, NAME, pack

ARGUMENTS = {
    "ansible_module": "'told'",
    "module_fqn": f"'{NAME}'",
    "profile": "'legacy'",
    "date_time": "(2026, 1, 2, 3, 4, 5)",
    "rlimit_nofile": "7",
    "params": repr('{"ANSIBLE_MODULE_ARGS": {"text": "gruesse \'of\' \\\\ it"}}'),
    "extensions": "{}",
    "zip_data": "'UEsFBgAA'",
}
LOADER = """
def run_module(**arguments):
    import json, os, resource, sys
    print(json.dumps({
        **{name: str(value) for name, value in sorted(arguments.items())},
        "argv": sys.argv, "main": sorted(vars(sys.modules["__main__"]))[0], "path": sys.path[0],
        "files": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
    }))
"""


def payload(**changes: str | None) -> bytes:
    arguments = {name: value for name, value in {**ARGUMENTS, **changes}.items() if value is not None}
    lines = "".join(f"{name}={value},\n" for name, value in arguments.items())
    return f'import x\n\nif __name__ == "__main__":\n    _ansiballz_main(\n{lines})\n'.encode()


def written_by_ansible(root: str) -> list[Any]:
    """Return the payload that Ansible makes of its module ``ping`` for a task, and the template that it is made of."""
    fresh.load_ansible()
    common: Any = importlib.import_module("ansible.executor.module_common")
    template: Any = importlib.import_module("ansible.template")
    loader: Any = importlib.import_module("ansible.parsing.dataloader")
    plugins: Any = importlib.import_module("ansible.plugins.loader")
    path = plugins.module_loader.find_plugin("ansible.builtin.ping")
    variables = {"ansible_python_interpreter": sys.executable}
    made = common.modify_module(
        module_name="ansible.builtin.ping", module_path=path, module_args={"data": "gruß 'of' \\ it"},
        templar=template.Templar(loader=loader.DataLoader(), variables=variables), task_vars=variables,
    )  # fmt: skip
    # Before ansible-core 2.19 it is one of a tuple, and made of a template.
    data = made[0] if isinstance(made, tuple) else made.b_module_data
    return [base64.b64encode(data).decode(), getattr(common, "ACTIVE_ANSIBALLZ_TEMPLATE", None)]


def test_what_ansible_writes_is_read(tmp_path: Path) -> None:
    data, template = fresh.call_with_ansible(written_by_ansible, str(tmp_path))
    module = parse(base64.b64decode(data), template)
    assert module is not None
    assert (module.name, module.full_name) == ("ansible.builtin.ping", "ansible.modules.ping")
    assert json.loads(module.params)["ANSIBLE_MODULE_ARGS"]["data"] == "gruß 'of' \\ it"
    assert is_archive(module.zip_data)


def test_each_argument_is_read() -> None:
    params = '{"ANSIBLE_MODULE_ARGS": {"text": "gruesse \'of\' \\\\ it"}}'
    assert parse(payload()) == Module("told", NAME, "legacy", params, 7, b"UEsFBgAA")


@pytest.mark.parametrize(
    "other",
    [
        b"",
        b"#!/bin/sh\necho\n",
        payload()[:-2],
        payload() + b"more()\n",
        payload(profile=None),
        payload(another="1"),
        payload(extensions="{'coverage': {}}"),
        payload(rlimit_nofile="seven"),
        payload(rlimit_nofile="f()"),
        payload(ansible_module="f()"),
        payload(params="'unclosed"),
        payload(module_fqn="'a' + 'b'"),
    ],
    ids=range(12),
)
def test_a_payload_of_another_shape_is_not_taken(other: bytes) -> None:
    assert parse(other) is None


@pytest.mark.parametrize("text", [b"", b"UEsFBgAA", b"no base64!", base64.b64encode(b"no zip")], ids=range(4))
def test_what_is_no_zip_is_none(text: bytes) -> None:
    assert not is_archive(text)
    assert is_archive(pack({}))


def told(root: str, known: bool) -> Any:
    """Have a module run from a zip that is known or not; return what it was given, and what is left of its files."""
    target = TargetModules(dataclasses.replace(ImportSystem.current(), modules={}), {})
    archives = Archives(Path(root), Path(root), target)
    text = pack({MODULE: ""}, LOADER)
    if known:
        archives.add(NAME, text)
    host = ModuleHost()
    if os.fork() == 0:
        host.keep_answering_end()
        serve(host, Stock(target, archives))
        os._exit(0)
    host.keep_asking_end()
    code, stdout, stderr = host.ask(
        Module("told", NAME, "legacy", "{}", 64, text), {b"TMPDIR": os.fsencode(root)}, None
    )
    os.wait()
    return [code, json.loads(stdout), stderr.decode(), [path.name for path in Path(root).iterdir()]]


@pytest.mark.parametrize("known", [False, True])
def test_a_module_gets_what_its_wrapper_would_give_it(tmp_path: Path, *, known: bool) -> None:
    code, given, stderr, left = fresh.call(told, str(tmp_path), known)
    place = f"{tmp_path}/archive_0_payload.zip" if known else given["path"]
    assert (code, stderr) == (0, "")
    assert given == {
        "json_params": "b'{}'", "profile": "legacy", "module_fqn": NAME, "modlib_path": place, "extensions": "{}",
        "argv": [""], "main": "__doc__", "path": place, "files": 64,
    }  # fmt: skip
    if not known:
        assert re.fullmatch(rf"{tmp_path}/ansible_told_payload_\w+/ansible_told_payload\.zip", place)
    assert left == (["archive_0_payload.zip"] if known else []), "a directory of its own is gone with the module"


OLD_TEMPLATE = """%(shebang)s
def _ansiballz_main():
%(rlimit)s
    now = %(date_time)s
    percent = "%%s"
    ZIPDATA = %(zipdata)r
    basic._ANSIBLE_ARGS = json_params
%(coverage)s
        runpy.run_module(mod_name=%(module_fqn)r, init_globals=dict(_module_fqn=%(module_fqn)r))

    ANSIBALLZ_PARAMS = %(params)s
    temp_path = mkdtemp(prefix='ansible_' + %(ansible_module)r + '_payload_')
            invoke_module(zipped_mod, temp_path, ANSIBALLZ_PARAMS)
if __name__ == '__main__':
    _ansiballz_main()
"""
"""A wrapper as those of ansible-core up to 2.18, in fewer lines."""


def old_payload(**changes: str) -> bytes:
    params = repr('{"ANSIBLE_MODULE_ARGS": {"text": "gruß \'of\' \\\\ it"}}')
    values = {
        "shebang": "#!/usr/bin/python3", "rlimit": "", "date_time": "(2026, 1, 2, 3, 4, 5)", "zipdata": "UEsFBgAA",
        "coverage": "", "module_fqn": NAME, "params": params, "ansible_module": "told",
    }  # fmt: skip
    return (OLD_TEMPLATE % {**values, **changes}).encode()


def test_a_payload_that_is_made_of_the_given_template_is_read() -> None:
    params = '{"ANSIBLE_MODULE_ARGS": {"text": "gruß \'of\' \\\\ it"}}'
    assert parse(old_payload(), OLD_TEMPLATE) == Module("told", NAME, "", params, 0, b"UEsFBgAA", (15, 13, 9))


def test_a_zip_between_three_quotes_is_read() -> None:
    template = OLD_TEMPLATE.replace("%(zipdata)r", '"""%(zipdata)s"""')
    found = parse(old_payload().replace(b"'UEsFBgAA'", b'"""UEsFBgAA"""'), template)
    assert found is not None
    assert found.zip_data == b"UEsFBgAA"


@pytest.mark.parametrize(
    "other",
    [
        old_payload(rlimit="    limit()"),
        old_payload(coverage="    cover()"),
        old_payload() + b"more()\n",
        old_payload().replace(b"percent", b"per_cent"),
        old_payload(params="undefined_name"),
        payload(),
        b"",
    ],
    ids=["limit of files", "coverage", "more", "another wrapper", "no text", "of a newer core", "empty"],
)
def test_any_other_payload_is_not_read_by_that_template(other: bytes) -> None:
    assert parse(other, OLD_TEMPLATE) is None
