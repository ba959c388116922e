"""Upstream's snake case, with its quirks, on which roles rely.

Source: operator-framework/ansible-operator-plugins 1.42.3, ``internal/ansible/paramconv``. The first of each acronym in
the list is a word. A leading capital becomes a leading underscore, unless the first word is such an acronym. A single
leading lower-case letter is not a word.
"""

from __future__ import annotations

import functools
import itertools
import re
from typing import Any

_ACRONYMS = ("HTTP", "URL", "IP")
_ACRONYM_WORDS = frozenset(acronym.lower() for acronym in _ACRONYMS)
_NUMBER_WITHIN = re.compile(r"([a-zA-Z])([0-9]+)([a-zA-Z][0-9]+)")
_SEPARATORS = frozenset(" _-")
_REMEMBERED_LENGTH = 64
"""Longer names are not remembered: an object's author must not fill this process's memory with them."""


def keys_to_snake_case(value: Any) -> Any:
    """Return the value with every key of every mapping in it converted, also in lists.

    Where two keys become one, the key that was written that way has its value, else the last one.
    """
    if isinstance(value, dict):
        names = {key: to_snake_case(key) for key in value}
        return {
            names[key]: keys_to_snake_case(item)
            for key, item in value.items()
            if key == names[key] or names[key] not in value
        }
    if isinstance(value, list):
        return [keys_to_snake_case(item) for item in value]
    return value


def to_snake_case(name: str) -> str:
    """Return ``name`` in upstream's snake case.

    ``clusterIP`` is ``cluster_ip``, ``podIPs`` is ``pod_ips``.
    """
    return _remembered(name) if len(name) <= _REMEMBERED_LENGTH else _convert(name)


def _convert(name: str) -> str:
    spaced = _NUMBER_WITHIN.sub(r"\1 \2 \3", name).strip(" ")
    words = _words(_isolate_acronyms(spaced))
    joined = "_".join(words)
    begins_with_capital = "A" <= spaced[:1] <= "Z"
    return f"_{joined}" if begins_with_capital and words[0] not in _ACRONYM_WORDS else joined


_remembered = functools.lru_cache(maxsize=4096)(_convert)


def _isolate_acronyms(name: str) -> str:
    """Put underscores around the first of each acronym.

    A plural's ``s`` belongs to it, in upper case.
    """
    for acronym in _ACRONYMS:
        before, found, after = name.partition(acronym)
        if not found:
            continue
        plural = after.startswith("s")
        word = f"{acronym}S" if plural else acronym
        rest = after[1:] if plural else after
        # An acronym that is the whole name, or ends it, has its underscore in front, even with nothing there.
        lead = f"{before}_" if before or (not rest) else ""
        name = f"{lead}{word}_{rest}" if rest else f"{lead}{word}"
    return name


def _words(name: str) -> list[str]:
    words: list[str] = []
    word = ""
    for letter, following in itertools.zip_longest(name, name[1:], fillvalue=""):
        if word and word[-1] != "_" and _changes_case(letter, following):
            if letter.isupper():
                words.append(word)
                word = letter
            else:
                words.append(word + letter)
                word = ""
        elif letter in _SEPARATORS:
            words.append(word)
            word = ""
        else:
            word += letter
    return [word.lower() for word in [*words, word]]


def _changes_case(letter: str, following: str) -> bool:
    return ("A" <= letter <= "Z" and "a" <= following <= "z") or ("a" <= letter <= "z" and "A" <= following <= "Z")
