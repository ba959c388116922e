"""A volume as the kubelet projects Secrets, tokens and authorities into a Pod: all of its files change at once."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path


class Projected:
    """Files behind the symbolic link ``..data``, which ``write`` swaps; the old ones are gone afterwards."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._moments = itertools.count(1)
        directory.mkdir(parents=True, exist_ok=True)

    def write(self, **files: str) -> None:
        """Replace the volume's files by these; a name's last underscore is its dot (``ca_crt``: ``ca.crt``)."""
        contents = {".".join(name.rsplit("_", 1)): text for name, text in files.items()}
        data, moment = self.directory / "..data", self.directory / f"..moment-{next(self._moments)}"
        before = data.resolve() if data.is_symlink() else None
        moment.mkdir()
        for name, text in contents.items():
            (moment / name).write_text(text)
        (self.directory / "..data_tmp").symlink_to(moment.name)
        (self.directory / "..data_tmp").replace(data)
        for name in contents:
            if not (self.directory / name).is_symlink():
                (self.directory / name).symlink_to(Path("..data", name))
        if before is not None:
            shutil.rmtree(before)
