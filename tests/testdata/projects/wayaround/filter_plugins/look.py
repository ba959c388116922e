# ruff: noqa: PTH118, PTH120
import importlib.util
import os

_PATH = os.path.join(os.path.dirname(__file__), "..", "module_utils", "looking.py")
_SPEC = importlib.util.spec_from_file_location("looking", _PATH)
_LOOKING = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_LOOKING)


class FilterModule:
    def filters(self):
        return {"look": _LOOKING.look}
