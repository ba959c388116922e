"""The glossary and the code use the same words."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import inspect
import pkgutil
import re
from typing import Final

import pytest

import reconcile_runner
from tests.support.paths import REPOSITORY

GLOSSARY: Final = (REPOSITORY / "docs" / "glossary.md").read_text()
NAMES: Final = re.findall(r"(?m)^\| [^|]+ \| `([\w.]+)` \|", GLOSSARY)
TERMS: Final = re.findall(r"(?m)^\| ([a-z][a-z ]+) \|", GLOSSARY)

WORDS: Final = (
    *("reflector", "informer", "indexer", "cache", "discovery", "source", "predicate", "handler", "request"),
    *("workqueue", "rate limiter", "controller", "reconciler", "run", "execution engine", "manager"),
    *("leader election", "healthz", "metrics", "recorder", "reconcile", "job", "play"),
    *("trigger", "dependent", "annotation settings"),
)
"""What controller-runtime, client-go and Ansible call the parts of a controller, and this project its own."""

FIELD_CLASSES: Final = re.compile(r"(Reflector|Informer|Indexer|Cache|Controller|Reconciler|WorkQueue|Discovery)")
"""Classes whose name is one of the field's words. A subclass or a relative has a longer name."""


def found(name: str) -> bool:
    """Tell whether a dotted name below the package is a module, or a class in one."""
    with contextlib.suppress(ModuleNotFoundError):  # the part before the last dot is no package
        if importlib.util.find_spec(f"reconcile_runner.{name}"):
            return True
    module, _, last = name.rpartition(".")
    return hasattr(importlib.import_module(f"reconcile_runner.{module}"), last)


@pytest.mark.parametrize("name", NAMES)
def test_what_the_glossary_names_is_in_the_code(name: str) -> None:
    assert found(name)


@pytest.mark.parametrize("word", WORDS)
def test_every_word_of_the_field_is_in_the_glossary(word: str) -> None:
    assert word in TERMS


def test_every_class_that_is_called_by_a_word_of_the_field_is_in_the_glossary() -> None:
    packages = ("cache", "controller", "client")
    modules = [
        importlib.import_module(module.name)
        for module in pkgutil.walk_packages(reconcile_runner.__path__, "reconcile_runner.")
        if module.name.split(".")[1] in packages and not module.ispkg
    ]
    classes = {
        f"{module.__name__}.{name}".removeprefix("reconcile_runner.")
        for module in modules
        for name, kind in inspect.getmembers(module, inspect.isclass)
        if kind.__module__ == module.__name__ and FIELD_CLASSES.fullmatch(name)
    }
    assert len(classes) > 5
    assert classes <= set(NAMES)
