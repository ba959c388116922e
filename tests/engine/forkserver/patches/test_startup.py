"""What is made once answers as what Ansible makes anew in each run."""

from __future__ import annotations

import contextlib
import glob
import importlib
import io
import sys
from pathlib import Path
from typing import Any

from reconcile_runner.execution.forkserver.patches import startup
from tests.support import fresh

LINES = [
    ["play.yml"],
    ["-e", "a=1", "-e", "@vars.yml", "play.yml", "more.yml"],
    ["-t", "one,two", "--tags", "three", "--skip-tags", "four", "play.yml"],
    ["-vv", "play.yml"],
    ["-i", "hosts", "-i", "a,b", "--limit", "a", "play.yml"],
    ["play.yml"],
    ["--check", "--diff", "-f", "9", "-u", "me", "--become", "-b", "-c", "local", "play.yml"],
    ["-M", "one", "-M", "two:three", "play.yml"],
    ["--vault-id", "dev@password", "--vault-password-file", "password", "play.yml"],
    ["--list-tasks", "--start-at-task", "here", "--step", "--flush-cache", "play.yml"],
    [],
    ["--no-such-option", "play.yml"],
    ["-f", "many", "play.yml"],
    ["--vault-id"],
    ["--version"],
    ["--help"],
]


def parsed(command: Any, line: list[str]) -> Any:
    """Parse a command line as ``ansible-playbook`` does; return its options, or how it ends and what it says."""
    sys.argv = ["/usr/bin/ansible-playbook", *line]
    made = command(sys.argv)
    out, err = io.StringIO(), io.StringIO()
    code: object = None
    options: dict[str, str] = {}
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            made.init_parser()
            options = {
                name: repr(sorted(value) if name in {"tags", "skip_tags"} else value)
                for name, value in vars(made.post_process_args(made.parser.parse_args(made.args[1:]))).items()
            }
        except SystemExit as end:
            code = end.code
    return [options, code, out.getvalue(), err.getvalue()]


def parsed_by_both() -> Any:
    """Parse command lines by a parser each, and then twice by the one that is kept."""
    command: Any = importlib.import_module("ansible.cli.playbook").PlaybookCLI
    anew = [fresh.in_a_fork(parsed, command, line) for line in LINES]
    sys.argv = ["-c"]
    startup.share_parser()
    return [anew, *[[parsed(command, line) for line in LINES] for _ in range(2)]]


def test_one_parser_parses_as_a_new_one_does() -> None:
    anew, first, second = fresh.call_with_ansible(parsed_by_both)
    for line, new, *kept in zip(LINES, anew, first, second, strict=True):
        assert kept == [new, new], line
    assert anew[0][0]["args"] == "['play.yml']"
    assert [code for _, code, _, _ in anew[10:]] == [2, 2, 2, 2, 0, 0]


def listed(root: str) -> Any:
    """Look for names by Ansible's loader's ``glob`` before and after lists are kept."""
    loader: Any = importlib.import_module("ansible.plugins.loader")
    directories = [Path(root) / "known", Path(root) / "missing", Path(root) / "brackets[x]"]
    names = ["one", "two", "on", "one.two", "none", "", ".hidden", "o*", "[ot]ne", "sub", "broken", "three", "ONE"]
    patterns = [f"{each}/{name}{end}" for each in (*directories, Path(root)) for name in names for end in (".*", "")]
    patterns += [f"{root}/known/../known/one.*", f"{root}//known/one.*", "known/one.*", "one.*"]
    patterns += [f"{glob.escape(str(each))}/one.*" for each in directories]
    ordinary = [sorted(loader.glob.iglob(pattern)) for pattern in patterns]
    startup.keep_file_lists(directories)
    return [
        patterns,
        ordinary,
        [sorted(loader.glob.iglob(pattern)) for pattern in patterns],
        loader.glob.glob("/*") != [],
    ]


def test_a_list_of_files_answers_as_glob_does(tmp_path: Path) -> None:
    for directory in ("known", "brackets[x]", "other"):
        (tmp_path / directory / "sub.d").mkdir(parents=True)
        for name in ("one.py", "one.yml", "one", "one.two.py", "two.py", "three.", ".hidden.py", "one~", "one.py~"):
            (tmp_path / directory / name).touch()
        (tmp_path / directory / "broken.py").symlink_to(tmp_path / "nowhere")
    patterns, ordinary, kept, can_glob = fresh.call_with_ansible(listed, str(tmp_path))
    assert can_glob
    for pattern, expected, found in zip(patterns, ordinary, kept, strict=True):
        assert found == expected, pattern
    assert sum(map(bool, ordinary)) > 10


DEFINES = '''
import no_such_library
DOCUMENTATION = """
name: own
type: stdout
options:
  colour:
    description: A colour.
    default: red
    ini: [{section: own, key: colour}]
    env: [{name: OWN_COLOUR}]
"""
'''


def defined(root: str) -> Any:
    """Read the settings of callbacks' texts; return the files, and the value of one."""
    fresh.load_ansible()
    constants: Any = importlib.import_module("ansible.constants")
    files = [str(path.relative_to(root)) for path in startup.define_callback_settings() if path.is_relative_to(root)]
    value = constants.config.get_config_value("colour", plugin_type="callback", plugin_name="own")
    return [sorted(files), value, "own" in " ".join(sys.modules).split()]


def test_settings_of_a_callback_are_read_from_its_text_alone(tmp_path: Path) -> None:
    texts = {"own": DEFINES, "broken": "def (", "made": "DOCUMENTATION = str()", "none": "", "binary": "\0"}
    for name, text in texts.items():
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    answer = fresh.call(defined, str(tmp_path), ANSIBLE_CALLBACK_PLUGINS=str(tmp_path), OWN_COLOUR="blue")
    assert answer == [["own.py"], "blue", False]


KUBECONFIGS = {
    "good": "apiVersion: v1\nkind: Config\ncurrent-context: a\nclusters: []\ncontexts: []\nusers: []\n",
    "values": "a: 1\nb: [yes, 0x1f, 1.5, 2001-02-03, null, ~, '1', \"t\\tab\"]\nc: &x {d: 1}\ne: *x\nf: {<<: *x}\n",
    "tab": "a:\n\tb: 1\n",
    "open": "a: [1, 2\n",
    "colon": "a: b: c\n",
    "indent": "a: 1\n  b: 2\n",
    "tag": "a: !!python/object/apply:os.system ['true']\n",
    "alias": "a: *nowhere\n",
    "many": "a: 1\n---\nb: 2\n",
    "control": "a: \x01\n",
    "empty": "",
    "text": "only text",
    "duplicate": "a: 1\na: 2\n",
    "unicode": "a: grüße \U0001f600\n",
}


def read(root: str) -> Any:
    kube_config: Any = importlib.import_module("kubernetes.config.kube_config")
    yaml: Any = importlib.import_module("yaml")

    def outcome(name: str, form: str) -> str:
        path = Path(root) / name
        try:
            if form == "file":
                with path.open(encoding="utf-8") as file:
                    return repr(kube_config.yaml.safe_load(file))
            if form == "text":
                return repr(kube_config.yaml.safe_load(path.read_text(encoding="utf-8")))
            kube_config.KubeConfigMerger(str(path))
        except Exception as error:  # noqa: BLE001 - it is the outcome
            return f"{type(error).__name__}: {error}"
        return "read"

    def outcomes() -> dict[str, str]:
        return {f"{name} {form}": outcome(name, form) for name in KUBECONFIGS for form in ("file", "text", "merged")}

    ordinary = outcomes()
    assert kube_config.yaml is yaml
    startup.read_kubeconfigs_fast()
    return [ordinary, outcomes(), kube_config.yaml is not yaml, yaml.safe_load.__module__]


def test_a_kubeconfig_is_read_or_refused_in_the_same_words(tmp_path: Path) -> None:
    for name, text in KUBECONFIGS.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    ordinary, fast, is_fast, module = fresh.call_with_ansible(read, str(tmp_path))
    assert fast == ordinary
    assert (is_fast, module) == (True, "yaml"), "the library itself is as it was"
    assert ordinary["good merged"] == "read"
    assert "found character '\\t'" in ordinary["tab file"]
