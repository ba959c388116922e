"""Keeps the parsed content of YAML files from run to run.

Reading one takes far less time than parsing it. A play publishes the paths of the files that it parsed, without those
in its run's own directory. The zygote parses them for later plays, which use the result as long as the file holds the
same bytes. A play uses a result once: a file that it loads twice is parsed again.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from reconcile_runner.execution.forkserver.handover import Topic, publish, take
from reconcile_runner.execution.forkserver.patches import display

Key: TypeAlias = tuple[str, bool, bool]
"""The path of a file, whether it may hold JSON only, and whether its strings are trusted as templates."""

_MAX_FILES: Final = 1_000
_MAX_BYTES: Final = 200_000
"""Files beyond either limit are parsed by each run."""

_VAULT_MARKS: Final = (b"$ANSIBLE_VAULT", b"!vault")
"""A file with one of them depends on the run's vault secrets, not on its text alone."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """A file and its parsed content, twice: Ansible caches one and returns the other."""

    content: bytes
    cached: Any
    returned: Any


class ParsedFiles:
    """The parsed files of a zygote and its plays.

    ``directory``: where plays publish paths.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._parsed: dict[Key, Parsed] = {}
        self._missed: set[Key] = set()

    def install(self) -> None:
        """Have Ansible, in this process and its forks, use the parsed files."""
        from ansible.parsing.dataloader import DataLoader  # noqa: PLC0415 - not in the server

        ordinary = DataLoader.load_from_file
        takes_trust = "trusted_as_template" in inspect.signature(ordinary).parameters  # not before ansible-core 2.19

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
                trust = (trusted_as_template,) if takes_trust else ()
                return ordinary(self_, file_name, cache, unsafe, json_only, *trust)
            if cache == "all":
                self_._FILE_CACHE[path] = parsed.cached  # noqa: SLF001
            return parsed.returned

        DataLoader.load_from_file = load_from_file

    def _find(self, key: Key) -> Parsed | None:
        parsed = self._parsed.pop(key, None)
        if parsed is not None:
            with contextlib.suppress(OSError):
                if Path(key[0]).read_bytes() == parsed.content:
                    return parsed
        self._missed.add(key)
        return None

    def publish(self, run: Path) -> None:
        """Publish the files that this play had to parse, without those below ``run``.

        Raises ``OSError``. ``run`` is a resolved path.
        """
        others = sorted(key for key in self._missed if not Path(key[0]).resolve().is_relative_to(run))
        if others:
            publish(self._directory, Topic.FILES, others)

    def update(self) -> None:
        """Parse what was published. This process has the controller's import system."""
        for keys in take(self._directory, Topic.FILES):
            for key in keys:
                if len(self._parsed) < _MAX_FILES:
                    with contextlib.suppress(OSError):
                        parsed = _parse(*key)
                        if parsed:
                            self._parsed[key] = parsed
        self._missed.clear()


def _parse(path: str, json_only: bool, trusted_as_template: bool) -> Parsed | None:
    """Parse a file as Ansible does. Raises ``OSError``.

    None if it is invalid, depends on more than its text, or makes Ansible show a message, which each run is to show.
    """
    from ansible.errors import AnsibleError  # noqa: PLC0415
    from ansible.parsing.dataloader import DataLoader  # noqa: PLC0415

    content = Path(path).read_bytes()
    if len(content) > _MAX_BYTES or any(word in content for word in _VAULT_MARKS):
        return None

    def load() -> Any:
        # Trust is unknown to the loader before ansible-core 2.19, and no file of these is trusted there.
        trust = {"trusted_as_template": True} if trusted_as_template else {}
        loader: Callable[..., Any] = DataLoader().load_from_file
        return loader(path, cache="none", unsafe=True, json_only=json_only, **trust)

    with display.discard_messages() as were_any_shown:
        try:
            parsed = Parsed(content, load(), load())
        except (AnsibleError, RecursionError):
            return None
        # It may have changed between the two reads.
        return None if were_any_shown() or Path(path).read_bytes() != content else parsed
