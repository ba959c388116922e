"""What may run in a play without a worker, and a use of each: tests compare the names with those in the code."""

from __future__ import annotations

from typing import Any, Final

from tests.support.paths import REPOSITORY

FILTERS: Final[dict[str, str]] = {
    "abs": "-1 | abs",
    "attr": "'text' | attr('missing') is defined",
    "b64decode": "'YQ==' | b64decode",
    "b64encode": "'a' | b64encode",
    "basename": "'/a/b' | basename",
    "batch": "[1, 2, 3] | batch(2) | list",
    "bool": "'yes' | bool",
    "capitalize": "'text' | capitalize",
    "center": "'text' | center(10)",
    "checksum": "'text' | checksum",
    "combinations": "[1, 2] | combinations(2) | list",
    "combine": "{'a': {'b': 1}} | combine({'a': {'c': 2}}, recursive=true)",
    "comment": "'text' | comment",
    "commonpath": "['/a/b', '/a/c'] | commonpath",
    "count": "[1] | count",
    "d": "missing | d(1)",
    "default": "missing | default(1)",
    "dict2items": "{'a': 1} | dict2items",
    "dictsort": "{'a': 1} | dictsort",
    "difference": "[1, 2] | difference([2])",
    "dirname": "'/a/b' | dirname",
    "e": "'<' | e",
    "escape": "'<' | escape",
    "expanduser": "'~/a' | expanduser",
    "expandvars": "'$HOME/a' | expandvars",
    "extract": "'a' | extract({'a': 1})",
    "fileglob": "'/etc/host*' | fileglob",
    "filesizeformat": "1000 | filesizeformat",
    "first": "[1] | first",
    "flatten": "[1, [2]] | flatten",
    "float": "'1.5' | float",
    "forceescape": "'<' | forceescape",
    "format": "'%s' | format(1)",
    "from_json": "'{}' | from_json",
    "from_yaml": "'a: 1' | from_yaml",
    "from_yaml_all": "'a: 1' | from_yaml_all | list",
    "groupby": "[{'a': 1}] | groupby('a')",
    "hash": "'text' | hash('sha256')",
    "human_readable": "1000 | human_readable",
    "human_to_bytes": "'1 KB' | human_to_bytes",
    "indent": "'text' | indent(2)",
    "int": "'1' | int",
    "intersect": "[1] | intersect([1])",
    "items": "{'a': 1} | items | list",
    "items2dict": "[{'key': 'a', 'value': 1}] | items2dict",
    "join": "[1, 2] | join(',')",
    "last": "[1] | last",
    "length": "[1] | length",
    "list": "'ab' | list",
    "log": "8 | log(2)",
    "lower": "'A' | lower",
    "mandatory": "1 | mandatory",
    "map": "[1] | map('string') | list",
    "max": "[1, 2] | max",
    "md5": "'text' | md5",
    "min": "[1, 2] | min",
    "normpath": "'/a/../b' | normpath",
    "path_join": "['a', 'b'] | path_join",
    "permutations": "[1, 2] | permutations | list",
    "pow": "2 | pow(3)",
    "pprint": "{'a': 1} | pprint",
    "product": "[1] | product([2]) | list",
    "quote": "'a b' | quote",
    "random": "10 | random(seed='a')",
    "realpath": "'/etc' | realpath",
    "regex_escape": "'a.b' | regex_escape",
    "regex_findall": "'ab' | regex_findall('.')",
    "regex_replace": "'ab' | regex_replace('a', 'c')",
    "regex_search": "'ab' | regex_search('a')",
    "reject": "[1, 2] | reject('odd') | list",
    "rejectattr": "[{'a': 1}] | rejectattr('a', 'odd') | list",
    "rekey_on_member": "[{'a': 'b'}] | rekey_on_member('a')",
    "relpath": "'/a/b' | relpath('/a')",
    "replace": "'ab' | replace('a', 'b')",
    "reverse": "'ab' | reverse",
    "root": "9 | root",
    "round": "1.5 | round",
    "safe": "'text' | safe",
    "select": "[1, 2] | select('odd') | list",
    "selectattr": "[{'a': 1}] | selectattr('a', 'odd') | list",
    "sha1": "'text' | sha1",
    "shuffle": "[1, 2] | shuffle(seed='a')",
    "slice": "[1, 2] | slice(2) | list",
    "sort": "[2, 1] | sort",
    "split": "'a b' | split",
    "splitext": "'a.b' | splitext",
    "strftime": "'%Y' | strftime(0)",
    "string": "1 | string",
    "striptags": "'<b>a</b>' | striptags",
    "subelements": "[{'a': [1]}] | subelements('a')",
    "sum": "[1, 2] | sum",
    "symmetric_difference": "[1, 2] | symmetric_difference([2, 3])",
    "ternary": "true | ternary(1, 2)",
    "title": "'a b' | title",
    "to_datetime": "'2026-01-02 03:04:05' | to_datetime | string",
    "to_json": "{'a': 1} | to_json",
    "to_nice_json": "{'a': 1} | to_nice_json",
    "to_nice_yaml": "{'a': 1} | to_nice_yaml",
    "to_uuid": "'text' | to_uuid",
    "to_yaml": "{'a': 1} | to_yaml",
    "tojson": "{'a': 1} | tojson",
    "trim": "' a ' | trim",
    "truncate": "'a long text' | truncate(5)",
    "type_debug": "1 | type_debug",
    "union": "[1] | union([2])",
    "unique": "[1, 1] | unique",
    "unvault": "'text' | vault('secret') | unvault('secret')",
    "upper": "'a' | upper",
    "urldecode": "'a%20b' | urldecode",
    "urlencode": "'a b' | urlencode",
    "urlize": "'http://a.example' | urlize",
    "urlsplit": "'http://a.example/b' | urlsplit('path')",
    "vault": "'text' | vault('secret') | length > 0",
    "win_basename": "'a' | win_basename",
    "win_dirname": "'a' | win_dirname",
    "win_splitdrive": "'a' | win_splitdrive",
    "wordcount": "'a b' | wordcount",
    "wordwrap": "'a b' | wordwrap(1)",
    "xmlattr": "{'a': 1} | xmlattr",
    "zip": "[1] | zip([2]) | list",
    "zip_longest": "[1] | zip_longest([2, 3]) | list",
}  # fmt: skip
"""Ansible's filters and Jinja's, by name: an expression that has a value."""

WANTING: Final[dict[str, str]] = {"password_hash": "'text' | password_hash('sha512', 'mysalt')"}
"""Filters that need a library which may not be here: they may fail."""

_RESULT: Final = "{'failed': false, 'changed': false, 'skipped': false, 'finished': 1, 'started': 1}"

TESTS: Final[dict[str, str]] = {
    **dict.fromkeys(("!=", "<", "<=", "eq", "==", "equalto", "ge", ">=", "greaterthan", "gt", ">", "le", "lessthan",
                     "lt", "ne"), ""),
    **dict.fromkeys(("failed", "failure", "succeeded", "success", "successful", "changed", "change", "skipped", "skip",
                     "finished", "started", "reachable", "unreachable", "timedout"), f"{_RESULT} is {{}}"),
    **dict.fromkeys(("directory", "is_dir", "file", "is_file", "link", "is_link", "exists", "link_exists", "abs",
                     "is_abs", "mount", "is_mount"), "'/etc' is {}"),
    **dict.fromkeys(("match", "search", "regex"), "'text' is {}('te')"),
    **dict.fromkeys(("version", "version_compare"), "'1.2' is {}('1.1', '>')"),
    **dict.fromkeys(("any", "all"), "[true, false] is {}"),
    **dict.fromkeys(("truthy", "falsy", "uri", "url", "urn", "lower", "upper", "string", "vault_encrypted",
                     "defined", "undefined", "none", "boolean", "false", "true", "integer", "float", "mapping",
                     "number", "sequence", "iterable", "callable", "escaped"), "'text' is {}"),
    **dict.fromkeys(("same_file", "is_same_file"), "'/etc' is {}('/etc')"),
    **dict.fromkeys(("subset", "issubset", "superset", "issuperset"), "[1] is {}([1])"),
    **dict.fromkeys(("nan", "isnan", "odd", "even"), "1 is {}"),
    "contains": "[1] is contains(1)",
    "divisibleby": "4 is divisibleby(2)",
    "filter": "'upper' is filter",
    "in": "1 is in([1])",
    "sameas": "1 is sameas(1)",
    "test": "'odd' is test",
    "vaulted_file": "'/etc/hostname' is vaulted_file",
}  # fmt: skip
"""Ansible's tests and Jinja's, by name: an expression; ``{}`` is the name. Empty: for names that are operators."""

LOOKUPS: Final[dict[str, str]] = {
    "csvfile": "lookup('csvfile', 'a', file='lines.csv', delimiter=',')",
    "dict": "lookup('dict', {'a': 1})",
    "env": "lookup('env', 'HOME')",
    "file": "lookup('file', 'lines.csv')",
    "fileglob": "lookup('fileglob', '*.csv')",
    "first_found": "lookup('first_found', ['none', 'lines.csv'])",
    "indexed_items": "lookup('indexed_items', [1])",
    "ini": "lookup('ini', 'a', file='lines.ini', section='one')",
    "inventory_hostnames": "lookup('inventory_hostnames', 'all')",
    "items": "lookup('items', [1])",
    "list": "lookup('list', [1])",
    "nested": "lookup('nested', [1], [2])",
    "random_choice": "lookup('random_choice', [1])",
    "sequence": "lookup('sequence', 'count=2')",
    "subelements": "lookup('subelements', [{'a': [1]}], 'a')",
    "template": "lookup('template', 'text.j2')",
    "together": "lookup('together', [1], [2])",
    "varnames": "lookup('varnames', '^ansible_')",
    "vars": "lookup('vars', 'inventory_hostname')",
}
"""Ansible's lookups that leave nothing, by name: an expression. Files are those of ``FILES``."""

PROGRAMS: Final[dict[str, str]] = {"lines": "lookup('lines', 'echo a')", "pipe": "lookup('pipe', 'echo a')"}
"""The same of those that start programs: their tasks go on in a fork."""

ACTIONS_WITH_PROGRAMS: Final = frozenset({"raw", "script"})
"""The names of Ansible's actions that start programs themselves."""

FILES: Final[dict[str, str]] = {
    "lines.csv": "a,b\n",
    "lines.ini": "[one]\na = b\n",
    "text.j2": "{% for each in [1, 2] %}{{ each | string | upper }}{% endfor %}\n",
    "more.yml": "more: 1\n",
    "part/one": "a\n",
    "script.sh": "#!/bin/sh\necho a\n",
    "made.tar": "",
    "object.yml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one, namespace: default}\n",
}

_CLUSTER: Final = {"host": "http://127.0.0.1:1", "api_key": "none"}
"""Where nobody answers: what the action does in the play comes before."""

ACTIONS: Final[dict[str, dict[str, Any]]] = {
    "assemble": {"src": "part", "dest": "assembled", "remote_src": False},
    "assert": {"that": ["1 == 1", "'a' is match('a')"]},
    "command": {"cmd": "echo a"},
    "copy": {"content": "a", "dest": "copied"},
    "debug": {"msg": "a"},
    "dnf": {"name": "none"},
    "fail": {"msg": "a"},
    "fetch": {"src": "lines.csv", "dest": "fetched"},
    "gather_facts": {},
    "include_vars": {"file": "more.yml"},
    "normal": {},
    "package": {"name": "none"},
    "raw": {"_raw_params": "echo a"},
    "script": {"_raw_params": "script.sh"},
    "service": {"name": "none", "state": "started"},
    "set_fact": {"fact": 1},
    "set_stats": {"data": {"a": 1}},
    "shell": {"cmd": "echo a"},
    "template": {"src": "text.j2", "dest": "templated"},
    "unarchive": {"src": "made.tar", "dest": "."},
    "uri": {"url": "http://127.0.0.1:1/", "timeout": 1},
    "validate_argument_spec": {"argument_spec": {"a": {"type": "str"}}, "provided_arguments": {"a": "b"}},
}
"""Ansible's actions that do not wait, by name: arguments. Paths are relative to ``FILES``."""

CLUSTER_ACTIONS: Final[dict[str, dict[str, Any]]] = {
    "helm": {"name": "one", "namespace": "default", "chart_ref": "part", **_CLUSTER},
    "helm_info": {"name": "one", "namespace": "default", **_CLUSTER},
    "helm_plugin": {"plugin_path": "part", "state": "present"},
    "helm_plugin_info": {},
    "helm_repository": {"name": "one", "url": "http://127.0.0.1:1"},
    "k8s": {"template": "object.yml", "state": "present", **_CLUSTER},
    "k8s_cluster_info": _CLUSTER,
    "k8s_cp": {"namespace": "default", "pod": "one", "remote_path": "/a", "local_path": "lines.csv", **_CLUSTER},
    "k8s_drain": {"name": "one", "state": "cordon", **_CLUSTER},
    "k8s_exec": {"namespace": "default", "pod": "one", "command": "true", **_CLUSTER},
    "k8s_info": {"kind": "Pod", "kubeconfig": "object.yml"},
    "k8s_json_patch": {"kind": "Pod", "name": "one", "patch": [], **_CLUSTER},
    "k8s_log": {"name": "one", "namespace": "default", **_CLUSTER},
    "k8s_rollback": {"kind": "Deployment", "name": "one", "namespace": "default", **_CLUSTER},
    "k8s_scale": {"kind": "Deployment", "name": "one", "namespace": "default", "replicas": 1, **_CLUSTER},
    "k8s_service": {"name": "one", "namespace": "default", "ports": [{"port": 80}], **_CLUSTER},
}
"""The same of ``kubernetes.core``."""


def names_in_the_code() -> dict[str, list[str]]:
    """Return the names of what may run in a play, by kind. Only in a process that has Ansible loaded."""
    from ansible._internal._templating import _jinja_bits as jinja  # noqa: PLC0415
    from ansible.plugins import loader  # noqa: PLC0415

    from reconcile_runner.execution.forkserver.patches import worker  # noqa: PLC0415

    def of_jinja(plugins: Any, builtin: dict[str, object]) -> set[str]:
        loaded = {each.ansible_name.removeprefix("ansible.builtin.") for each in plugins.all()}
        return loaded | {name for name in builtin if "." not in name}

    def files(plugins: Any) -> set[str]:
        paths = {path for path in plugins.all(path_only=True) if "/ansible/plugins/" in path}
        return {path.rpartition("/")[2].removesuffix(".py") for path in paths} - {"__init__"}

    core = REPOSITORY / ".collections" / "ansible_collections" / "kubernetes" / "core" / "plugins" / "action"
    return {
        "filters": sorted(of_jinja(loader.filter_loader, jinja._BUILTIN_FILTERS)),
        "tests": sorted(of_jinja(loader.test_loader, jinja._BUILTIN_TESTS)),
        "lookups": sorted(
            name for name in files(loader.lookup_loader) if worker.leaves_nothing(name, worker._HARMLESS_LOOKUPS)
        ),
        "actions": sorted(files(loader.action_loader) - worker._WAITING_ACTIONS),
        "cluster_actions": sorted(path.stem for path in core.glob("*.py") if path.stem != "__init__"),
    }
