"""Keeps what files of YAML say from run to run: to read one takes far less than to parse it.

A play announces the files that it parsed, but for those in its run's own directory. ``zygote`` parses them in itself,
so that later plays find the result, as long as the file still holds the very same bytes. Each play has the result for
itself, as a fork, and gives it out once: what is loaded twice is parsed by the play, as ever.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from reconcile_runner.execution.forkserver.handover import Topic, announce, take
from reconcile_runner.execution.forkserver.patches import display

Key: TypeAlias = tuple[str, bool, bool]
"""The path of a file, whether it may hold JSON only, and whether its strings are trusted as templates."""

_MOST: Final = 1_000
_LARGEST: Final = 200_000
"""Bytes. Files beyond either limit are parsed by each run, as ever."""

_SECRET: Final = (b"$ANSIBLE_VAULT", b"!vault")
"""What makes a file depend on more than its text: the run's vault secrets."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a file said: twice, because Ansible keeps one for itself and gives the other to the caller."""

    content: bytes
    kept: Any
    given: Any


class ParsedFiles:
    """The parsed files of a zygote, and of the plays that it forks. ``directory``: where plays announce."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._parsed: dict[Key, Parsed] = {}
        self._missed: set[Key] = set()

    def install(self) -> None:
        """Have Ansible, in this process and its forks, look here first."""
        from ansible.parsing.dataloader import DataLoader  # noqa: PLC0415 - not in the server

        ordinary = DataLoader.load_from_file

        def load_from_file(
            self_: Any,
            file_name: str,
            cache: str = "all",
            unsafe: bool = False,
            json_only: bool = False,
            trusted_as_template: bool = False,
        ) -> Any:
            path = str(self_.path_dwim(file_name))
            loaded = cache != "none" and path in self_._FILE_CACHE  # noqa: SLF001 - there is no public name
            parsed = None if loaded or unsafe else self._find((path, json_only, trusted_as_template))
            if parsed is None:
                return ordinary(self_, file_name, cache, unsafe, json_only, trusted_as_template)
            if cache == "all":
                self_._FILE_CACHE[path] = parsed.kept  # noqa: SLF001
            return parsed.given

        DataLoader.load_from_file = load_from_file

    def _find(self, key: Key) -> Parsed | None:
        parsed = self._parsed.pop(key, None)
        if parsed is not None:
            with contextlib.suppress(OSError):
                if Path(key[0]).read_bytes() == parsed.content:
                    return parsed
        self._missed.add(key)
        return None

    def announce(self, run: Path) -> None:
        """Announce what this play had to parse, but for what is below ``run``, a resolved path. Raises ``OSError``."""
        others = sorted(key for key in self._missed if not Path(key[0]).resolve().is_relative_to(run))
        if others:
            announce(self._directory, Topic.FILES, others)

    def learn(self) -> None:
        """Parse what was announced. This process has the controller's import system."""
        for keys in take(self._directory, Topic.FILES):
            for key in keys:
                if len(self._parsed) < _MOST:
                    with contextlib.suppress(OSError):
                        parsed = _parse(*key)
                        if parsed:
                            self._parsed[key] = parsed
        self._missed.clear()


def _parse(path: str, json_only: bool, trusted_as_template: bool) -> Parsed | None:
    """Parse a file as Ansible does. Raises ``OSError``.

    None for one that depends on more than its text, that is none, or of which Ansible has something to say to each run.
    """
    from ansible.errors import AnsibleError  # noqa: PLC0415
    from ansible.parsing.dataloader import DataLoader  # noqa: PLC0415

    content = Path(path).read_bytes()
    if len(content) > _LARGEST or any(word in content for word in _SECRET):
        return None

    def load() -> Any:
        loader: Callable[..., Any] = DataLoader().load_from_file
        return loader(path, cache="none", unsafe=True, json_only=json_only, trusted_as_template=trusted_as_template)

    with display.forgotten() as anything_was_said:
        try:
            parsed = Parsed(content, load(), load())
        except (AnsibleError, RecursionError):
            return None
        # It may have changed between the looks at it.
        return None if anything_was_said() or Path(path).read_bytes() != content else parsed
