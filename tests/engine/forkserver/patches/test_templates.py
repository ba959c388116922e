"""A template says the same whether its code was kept or compiled anew, and is compiled anew where it might not."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from reconcile_runner.execution.forkserver.patches.plugins import OwnPlugins
from reconcile_runner.execution.forkserver.patches.templates import Templates
from tests.support import cores, fresh

pytestmark = cores.of_219

Asked = tuple[str, bool, str]
"""``template`` or ``expression``, whether backslashes are escaped, and the text."""

VARIABLES = {
    "name": "gruß",
    "items": [3, 1, 2],
    "nested": "{{ name }} and {{ items | length }}",
    "path": "a\\b\\1",
    "mapping": {"a": {"b": "c"}},
}
SAME: list[Asked] = [
    ("template", True, "plain text"),
    ("template", True, "{{ name }}"),
    ("template", True, "{{ nested }} {{ nested | upper }}"),
    ("template", True, "{{ '{{ name }}' }}"),
    ("template", True, "{{ items | sort | map('string') | join('-') }}"),
    ("template", True, "{{ mapping.a.b }}{{ mapping['a'] }}"),
    ("template", True, "{{ mapping | combine({'d': 1}) }}"),
    ("template", True, "{{ 'a\\b' }} {{ path | regex_replace('b', '\\1') }}"),
    ("template", False, "{{ 'a\\tb' }} {{ path }}"),
    ("template", True, "{{ 'a\\tb' }} {{ path }}"),
    ("template", True, "{% for each in items %}{{ loop.index }}:{{ each }}\n{% endfor %}\nend\n"),
    ("template", True, "{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(name) }}{% set y = 2 %}{{ y }}"),
    ("template", True, "{% if items is contains(3) and name is string %}yes{% else %}no{% endif %}"),
    ("template", True, "{{ missing }}"),
    ("template", True, "{{ missing | default('none') }} {{ undef('why') | default('x') }}"),
    ("template", True, "{{ name | no_such_filter }}"),
    ("template", True, "{{ name "),
    ("template", True, "{{ items.append(4) }}{{ items }}"),
    ("template", True, "{{ lookup('ansible.builtin.vars', 'name') }}{{ query('items', items) }}"),
    ("template", True, "{{ name | ansible.builtin.b64encode | ansible.builtin.b64decode }}"),
    ("template", True, "#jinja2: variable_start_string:'[[', variable_end_string:']]'\n[[ name ]] {{ name }}"),
    ("template", True, "#jinja2: trim_blocks: False\n{% if true %}\nx\n{% endif %}\n"),
    ("expression", True, "items | length == 3"),
    ("expression", True, "name"),
    ("expression", True, "missing is defined or name == 'gruß'"),
    ("expression", True, "'a\\b' | length"),
    ("expression", True, "{'a': nested, 'b': [1, none, true]}"),
    ("expression", True, "missing.deeper"),
    ("expression", True, "name ="),
    ("expression", True, "1 / 0"),
]
BAD: list[Asked] = [
    ("template", True, "{{ 1" + "0" * 5000 + " }}"),
    ("template", True, "{% for a in items %}" * 25 + "{% endfor %}" * 25),
    ("template", True, "{{ " + "[" * 400 + "1" + "]" * 400 + " }}"),
    ("template", True, "{{ " + "+".join(["1"] * 3000) + " }}"),
    ("expression", True, "1" + "0" * 5000),
    ("expression", True, "(" * 3000 + "1" + ")" * 3000),
]
"""Templates that fail in other ways than by an error of Jinja's."""

ROLES_FILTER = """
from jinja2 import pass_context
@pass_context
def to_json(context, value):
    return 'of the role'
class FilterModule:
    def filters(self):
        return {'to_json': to_json}
"""
COLLECTIONS_PLUGIN = """
class {kind}Module:
    def {kinds}(self):
        return {{'told': lambda value: {answer}}}
"""


class Zygote:
    """As much of a zygote as keeps templates. Only in a process of its own."""

    def __init__(self, root: str) -> None:
        fresh.load_ansible()
        bits: Any = importlib.import_module("ansible._internal._templating._jinja_bits")
        self.published = Path(root) / "published"
        self.published.mkdir()
        self.templates = Templates(self.published)
        self.templates.install(OwnPlugins([Path(importlib.import_module("ansible").__path__[0])]))
        self.compiled = 0
        ordinary = bits.AnsibleEnvironment._compile

        def compile_(environment: Any, *arguments: Any) -> Any:
            self.compiled += 1
            return ordinary(environment, *arguments)

        bits.AnsibleEnvironment._compile = compile_

    def update(self) -> int:
        """Learn as between two runs; return how many are kept."""
        self.templates.update()
        return len(self.templates._compiled)

    def play(self, asked: list[Asked], prepare: Callable[[], object] = lambda: None) -> Any:
        """Return what a play makes of templates, and how many it compiles."""
        return fresh.in_a_fork(self._play, asked, prepare)

    def _play(self, asked: list[Asked], prepare: Callable[[], object]) -> Any:
        prepare()
        self.compiled = 0
        answers = [filled_in(*each) for each in asked]
        compiled = self.compiled
        self.templates.publish()
        return [answers, compiled]


def filled_in(kind: str, escape: bool, text: str) -> str:
    tags: Any = importlib.import_module("ansible._internal._datatag._tags")
    templating: Any = importlib.import_module("ansible._internal._templating._engine")
    errors: Any = importlib.import_module("ansible.errors")
    loader: Any = importlib.import_module("ansible.parsing.dataloader")
    trusted = tags.TrustedAsTemplate()
    variables = {name: trusted.tag(value) for name, value in VARIABLES.items()}
    engine = templating.TemplateEngine(loader.DataLoader(), variables=variables)
    options = templating.TemplateOptions(escape_backslashes=escape)
    try:
        if kind == "expression":
            return repr(engine.evaluate_expression(trusted.tag(text), escape_backslashes=escape))
        return repr(engine.template(trusted.tag(text), options=options))
    except errors.AnsibleError as error:
        return f"{type(error).__name__}: {error}"


def as_learned(root: str, asked: list[Asked]) -> list[Any]:
    zygote = Zygote(root)
    asked = [(kind, escape, text) for kind, escape, text in asked]
    first = zygote.play(asked)
    kept = zygote.update()
    return [first, kept, zygote.play(asked), sorted(path.name for path in zygote.published.iterdir())]


def test_kept_code_says_what_compiled_code_says(tmp_path: Path) -> None:
    first, kept, second, left = fresh.call_with_ansible(as_learned, str(tmp_path), SAME)
    assert dict(zip([text for *_, text in SAME], second[0], strict=True)) == dict(
        zip([text for *_, text in SAME], first[0], strict=True)
    )
    assert first[0][1] == "'gruß'", "the templates are filled in at all"
    assert first[1] - second[1] > kept > 20, "nested ones are kept, too"
    assert len(left) == 1, "what cannot be kept is published again, and nothing is left of the first play's"


def test_a_template_that_breaks_the_compiler_harms_its_own_run_alone(tmp_path: Path) -> None:
    first, kept, second, _ = fresh.call_with_ansible(
        as_learned, str(tmp_path), [*BAD, ("template", True, "{{ name }}")]
    )
    assert second == [first[0], first[1] - 1]
    assert kept == 1


def test_nothing_is_computed_when_a_template_is_compiled(tmp_path: Path) -> None:
    asked: list[Asked] = [
        ("template", True, "{{ 999999999999 | random }}"),
        ("template", True, "{{ lookup('ansible.builtin.pipe', 'echo $$') }}"),
        ("expression", True, "range(10**12) | random"),
    ]
    results = fresh.call_with_ansible(as_thrice, str(tmp_path), asked)
    assert [compiled for _, compiled in results] == [0, 0, 0]
    for answers in zip(*[each for each, _ in results], strict=True):
        assert len(set(answers)) == 3, answers


def as_thrice(root: str, asked: list[Asked]) -> list[Any]:
    zygote = Zygote(root)
    zygote.play(asked)
    zygote.update()
    return [zygote.play(asked) for _ in range(3)]


def with_a_roles_filter(root: str) -> list[Any]:
    zygote = Zygote(root)
    asked: list[Asked] = [("template", True, "{{ name | to_json }}")]
    zygote.play(asked)
    zygote.update()

    def load_role() -> None:
        loader: Any = importlib.import_module("ansible.plugins.loader")
        loader.filter_loader.add_directory(f"{root}/filter_plugins")

    answers = [zygote.play(asked), zygote.play(asked, load_role)]
    return [*answers, list(zygote.published.iterdir()), zygote.play(asked)]


def test_a_filter_that_a_role_brings_is_honoured_in_its_run_and_no_other(tmp_path: Path) -> None:
    (tmp_path / "filter_plugins").mkdir()
    (tmp_path / "filter_plugins" / "own.py").write_text(ROLES_FILTER, encoding="utf-8")
    before, with_role, published, after = fresh.call_with_ansible(with_a_roles_filter, str(tmp_path))
    assert before == after == [["'\"gru\\\\u00df\"'"], 0]
    assert with_role == [["'of the role'"], 1]
    assert published == [], "what is compiled with a role's filter is that run's alone"


def with_collections_plugins(root: str, asked: list[Asked]) -> list[Any]:
    zygote = Zygote(root)
    first = zygote.play(asked)
    return [first, zygote.update(), zygote.play(asked)]


def test_a_template_that_names_a_collections_plugin_is_not_kept(tmp_path: Path) -> None:
    plugins = tmp_path / "ansible_collections" / "my" / "own" / "plugins"
    for kind, answer in {"filter": "'of the collection'", "test": "True"}.items():
        (plugins / kind).mkdir(parents=True)
        text = COLLECTIONS_PLUGIN.format(kind=kind.title(), kinds=f"{kind}s", answer=answer)
        (plugins / kind / "told.py").write_text(text, encoding="utf-8")
    asked: list[Asked] = [
        ("template", True, "{{ name | my.own.told }}"),
        ("template", True, "{% if name is my.own.told %}{{ name }}{% endif %}"),
        ("expression", True, "name is my.own.told"),
        ("expression", True, "items | map('my.own.told') | first"),
    ]
    first, kept, second = fresh.call(
        with_collections_plugins, str(tmp_path), asked, ANSIBLE_COLLECTIONS_PATH=str(tmp_path)
    )
    assert first[0] == ["'of the collection'", "'gruß'", "True", "'of the collection'"]
    assert kept == 1, "the name in a string is looked up when the template is filled in"
    assert second == [first[0], first[1] - 1]


def test_a_long_template_is_left_to_each_run(tmp_path: Path) -> None:
    asked: list[Asked] = [("template", True, "{{ name }}" + "x" * 20_000)]
    first, kept, second, left = fresh.call(as_learned, str(tmp_path), asked)
    assert (first, kept, left) == (second, 0, [])
