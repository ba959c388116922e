"""Tells what the state of the play's modules holds of another process, and what is the process's own."""

import importlib.util
from pathlib import Path

CONTROL = {}
"""Where a word is to be found, which shows that one would be."""


def kept(backwards):
    """Return the texts of loaded modules that hold one of the words, which are given backwards."""
    words = [each[::-1] for each in backwards]
    CONTROL["found"] = f"{words[0]}control"
    return _shared("kept_state").find(words)


def state(_value):
    """Return what is the process's own."""
    return _shared("process_state").look()


def _shared(name):
    """Return a module that modules have, too."""
    path = Path(__file__).parents[1] / "module_utils" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class FilterModule:
    def filters(self):
        return {"kept": kept, "state": state}
