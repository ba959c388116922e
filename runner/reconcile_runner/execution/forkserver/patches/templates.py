"""Keeps compiled templates from run to run.

Compiling one takes longer than rendering it. A play publishes the templates that it had to compile. The zygote compiles
them, by Ansible's own environment, so that later plays find the code. The code depends on the text alone if the
template uses no filters and tests but Ansible's own and no role adds others: only then is it kept.
"""

from __future__ import annotations

from pathlib import Path
from types import CodeType
from typing import Any, Final, TypeAlias

from reconcile_runner.execution.forkserver.handover import Topic, publish, take
from reconcile_runner.execution.forkserver.patches.plugins import OwnPlugins

Key: TypeAlias = tuple[bool, bool, str]
"""Whether a template is an expression, whether backslashes in its strings are escaped, and its text."""

_MAX_TEMPLATES: Final = 5_000
_MAX_CHARACTERS: Final = 20_000
"""Templates beyond either limit are compiled by each run."""

_COMPILER_ERRORS: Final = (SyntaxError, ValueError, ArithmeticError, RecursionError, MemoryError)
"""What Python raises for a number with too many digits, or for code nested too deep."""

_COMPILE: Final = "_compile"
_PARSE: Final = "_parse"


class Templates:
    """The compiled templates of a zygote and its plays.

    ``directory``: where plays publish templates.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._compiled: dict[Key, CodeType] = {}
        self._missed: set[Key] = set()

    def install(self, plugins: OwnPlugins) -> None:
        """Have Ansible use the compiled templates if only ``plugins`` take part."""
        from ansible._internal._templating._jinja_bits import AnsibleEnvironment  # noqa: PLC0415 - not in the server
        from jinja2.environment import TemplateExpression  # noqa: PLC0415

        ordinary_compile, ordinary_expression = AnsibleEnvironment.compile, AnsibleEnvironment.compile_expression

        def find(environment: Any, text: object, *, is_expression: bool) -> CodeType | None:
            if (
                not isinstance(text, str)
                or len(text) > _MAX_CHARACTERS
                or environment.overlayed
                or not plugins.are_alone_in_templates()
            ):
                return None
            key = (is_expression, _escapes_backslashes(), str(text))
            code = self._compiled.get(key)
            if code is None:
                self._missed.add(key)
            return code

        def compile_(self: Any, source: Any, name: Any = None, filename: Any = None, *others: Any, **named: Any) -> Any:
            plain = name is None and filename is None and not others and not named
            code = find(self, source, is_expression=False) if plain else None
            return code or ordinary_compile(self, source, name, filename, *others, **named)

        def compile_expression(self: Any, source: str, undefined_to_none: bool = True) -> Any:
            code = find(self, source, is_expression=True)
            if code is None:
                return ordinary_expression(self, source, undefined_to_none)
            template = self.template_class.from_code(self, code, self.make_globals(None), None)
            return TemplateExpression(template, undefined_to_none)

        AnsibleEnvironment.compile = compile_
        AnsibleEnvironment.compile_expression = compile_expression

    def publish(self) -> None:
        """Publish the templates that this play had to compile. Raises ``OSError``."""
        if self._missed and len(self._compiled) < _MAX_TEMPLATES:
            publish(self._directory, Topic.TEMPLATES, sorted(self._missed))

    def update(self) -> None:
        """Compile what was published. This process has the controller's import system."""
        for keys in take(self._directory, Topic.TEMPLATES):
            for key in keys:
                code = _compile(*key) if key not in self._compiled and len(self._compiled) < _MAX_TEMPLATES else None
                if code is not None:
                    self._compiled[key] = code
        self._missed.clear()


def _escapes_backslashes() -> bool:
    from ansible._internal._templating._jinja_bits import _TemplateCompileContext  # noqa: PLC0415

    context = _TemplateCompileContext.current(optional=True)
    return bool(context and context.escape_backslashes)


def _compile(is_expression: bool, escape_backslashes: bool, text: str) -> CodeType | None:
    """Compile a template; None if it is invalid or depends on more than its text."""
    from ansible._internal._templating._engine import TemplateEngine  # noqa: PLC0415
    from ansible._internal._templating._jinja_bits import _TemplateCompileContext  # noqa: PLC0415
    from ansible.errors import AnsibleError  # noqa: PLC0415
    from jinja2 import TemplateError  # noqa: PLC0415

    environment: Any = TemplateEngine().environment
    made: list[CodeType] = []
    ordinary = getattr(environment, _COMPILE)

    def keep(source: str, filename: str) -> CodeType:
        made.append(ordinary(source, filename))
        return made[-1]

    setattr(environment, _COMPILE, keep)
    with _TemplateCompileContext(escape_backslashes=escape_backslashes):
        try:
            if _names_only_known(environment, f"{{{{ {text} }}}}" if is_expression else text):
                if is_expression:
                    environment.compile_expression(text, undefined_to_none=False)
                else:
                    environment.compile(text)
        except (TemplateError, AnsibleError, *_COMPILER_ERRORS):
            return None
    return made[-1] if made else None


def _names_only_known(environment: Any, text: str) -> bool:
    """Return whether a template's filters and tests are Ansible's.

    Compiling a template with others would load those into the zygote.
    """
    from jinja2 import nodes  # noqa: PLC0415

    tree = getattr(environment, _PARSE)(text, None, None)
    names = {node.name for node in tree.find_all((nodes.Filter, nodes.Test))}
    return all("." not in name or name.startswith("ansible.builtin.") for name in names)
