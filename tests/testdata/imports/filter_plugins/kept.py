"""Tells what the state of the play's modules holds of another process."""

import importlib.util
from pathlib import Path

CONTROL = {}
"""Where a word is to be found, which shows that one would be."""


def kept(backwards):
    """Return the texts of loaded modules that hold one of the words, which are given backwards."""
    path = Path(__file__).parents[1] / "module_utils" / "kept_state.py"
    spec = importlib.util.spec_from_file_location("kept_state", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    words = [each[::-1] for each in backwards]
    CONTROL["found"] = f"{words[0]}control"
    return module.find(words)


class FilterModule:
    def filters(self):
        return {"kept": kept}
