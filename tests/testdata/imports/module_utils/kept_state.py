"""Finds words in the state of all loaded modules: their globals, and whatever those refer to."""

import gc
import sys
import types
from collections import deque

_HOLDS_NO_STATE = (types.FrameType, types.TracebackType)
_OF_EITHER_SIDE = ("ansible", "ansible_collections", "reconcile_runner")


def find(words):
    """Return the texts with one of the words that are reached from a module's globals, by the way that leads there."""
    objects, parents = [], []
    seen = set()
    waiting = deque()

    def add(found, parent):
        if id(found) not in seen and not isinstance(found, _HOLDS_NO_STATE) and not _is_of_the_other_side(found):
            seen.add(id(found))
            objects.append(found)
            parents.append(parent)
            waiting.append(len(objects) - 1)

    for module in list(sys.modules.values()):
        add(module, None)
    texts = {}
    while waiting:
        index = waiting.popleft()
        each = objects[index]
        if isinstance(each, (str, bytes)):
            text = each if isinstance(each, str) else each.decode(errors="replace")
            if any(word in text for word in words):
                texts[_way(index, objects, parents)] = text[:2000]
        else:
            for referent in gc.get_referents(each):
                add(referent, index)
    return texts


def _is_of_the_other_side(found):
    """Tell whether these are the globals of a module that is loaded for plays and not for modules, or the reverse.

    Python's own caches of types lead to them.
    """
    name = found.get("__name__") if isinstance(found, dict) and "__spec__" in found else None
    if not isinstance(name, str) or name.partition(".")[0] not in _OF_EITHER_SIDE:
        return False
    return getattr(sys.modules.get(name), "__dict__", None) is not found


def _way(index, objects, parents):
    """Return how an object is reached, as far as names tell."""
    steps = []
    while index is not None:
        each, parent = objects[index], parents[index]
        holder = objects[parent] if parent is not None else None
        if isinstance(each, types.ModuleType):
            steps.append(each.__name__)
            break
        steps.append(_name(each, holder))
        index = parent
    return ".".join(step for step in reversed(steps) if step)


def _name(each, holder):
    if isinstance(holder, dict):
        return next((str(key) for key, value in holder.items() if value is each), "<key>")
    if isinstance(each, dict):
        return ""
    return getattr(each, "__qualname__", f"<{type(each).__name__}>")
