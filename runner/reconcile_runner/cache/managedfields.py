"""Who manages which field of each object of a kind, compressed.

``metadata.managedFields`` is often as large as the rest of an object, and nobody here looks into it: it is kept for
those who read the object through the proxy. Objects of a kind differ little in it, so each is compressed with a
dictionary of what others of the kind have.
"""

from __future__ import annotations

import zlib
from typing import Any, Final

from reconcile_runner.apimachinery import rawjson
from reconcile_runner.apimachinery.objects import ObjectKey

MAX_SAMPLES: Final = 8
"""Shapes of a kind that the dictionary learns: each further manager of an object is another one."""
MAX_DICTIONARY_BYTES: Final = 2**14
"""Bytes of a dictionary at most, which is half of what zlib looks back at."""
_WELL_PACKED: Final = 6
"""The ratio of sizes that shows that the dictionary knows an object's shape."""
_LEVEL: Final = 1


class ManagedFields:
    """The ``managedFields`` of one kind's objects."""

    def __init__(self) -> None:
        self._packed: dict[ObjectKey, bytes] = {}
        self._dictionaries: list[bytes] = [b""]

    def put(self, key: ObjectKey, fields: list[Any] | rawjson.RawJson | None) -> None:
        """Keep the fields of an object; None: it has none."""
        if fields is None:
            self.drop(key)
            return
        text = rawjson.dumps(fields)
        packed = self._pack(text)
        if len(packed) * _WELL_PACKED > len(text) and self._learn(text):
            packed = self._pack(text)
        self._packed[key] = packed

    def json_of(self, key: ObjectKey) -> bytes | None:
        """Return the fields of an object as JSON; None: it has none."""
        packed = self._packed.get(key)
        if packed is None:
            return None
        unpacking = zlib.decompressobj(-zlib.MAX_WBITS, zdict=self._dictionaries[packed[0]])
        return unpacking.decompress(packed[1:])

    def drop(self, key: ObjectKey) -> None:
        """Forget an object."""
        self._packed.pop(key, None)

    def _pack(self, text: bytes) -> bytes:
        """Return the number of the newest dictionary, and the text compressed with it."""
        packing = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS, zdict=self._dictionaries[-1])
        return bytes((len(self._dictionaries) - 1,)) + packing.compress(text) + packing.flush()

    def _learn(self, text: bytes) -> bool:
        """Begin a dictionary that has this text, too; False: it would grow too large."""
        longer = self._dictionaries[-1] + text
        if len(self._dictionaries) > MAX_SAMPLES or len(longer) > MAX_DICTIONARY_BYTES:
            return False
        self._dictionaries.append(longer)
        return True
