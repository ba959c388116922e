"""What the operator uses of ``kubernetes_asyncio``: how it reads kubeconfigs, and a Pod's ServiceAccount.

The package imports all of its generated classes with any of its parts. They would take half of the operator's memory,
and seconds of its start. So the packages on the way are put in place empty while the parts are imported, and taken away
again: who imports it later gets all of it.
"""

from __future__ import annotations

import importlib
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

__all__ = ["ConfigException", "Configuration", "InClusterConfigLoader", "load_kube_config_from_dict"]

_ROOT: Final = "kubernetes_asyncio"
_PACKAGES: Final = (_ROOT, f"{_ROOT}.client")


def _import_config() -> tuple[ModuleType, ModuleType, Any]:
    """Return ``kubernetes_asyncio.config``, its module for Pods, and the class ``Configuration``.

    Raises ``ImportError`` where the package is not installed, or is another one.
    """
    found = find_spec(_ROOT)
    if found is None or not found.submodule_search_locations:
        raise ImportError(f"the package {_ROOT} is not installed")
    root = Path(found.submodule_search_locations[0]).parent
    before = _loaded()
    for name in _PACKAGES:
        package = ModuleType(name)
        package.__path__ = [str(root.joinpath(*name.split(".")))]
        sys.modules[name] = package
    try:
        client = sys.modules[f"{_ROOT}.client"]
        configuration = importlib.import_module(f"{_ROOT}.client.configuration").Configuration
        vars(client).update(Configuration=configuration, ApiClient=None)  # the class is for clients that we never make
        config = importlib.import_module(f"{_ROOT}.config")
        incluster = importlib.import_module(f"{_ROOT}.config.incluster_config")
    finally:
        for name in _loaded():
            del sys.modules[name]
        sys.modules.update(before)
    return config, incluster, configuration


def _loaded() -> dict[str, ModuleType]:
    return {name: module for name, module in sys.modules.items() if name.partition(".")[0] == _ROOT}


if TYPE_CHECKING:
    from kubernetes_asyncio.client import Configuration
    from kubernetes_asyncio.config import ConfigException, load_kube_config_from_dict
    from kubernetes_asyncio.config.incluster_config import InClusterConfigLoader
else:
    _config, _incluster, Configuration = _import_config()
    ConfigException = _config.ConfigException
    InClusterConfigLoader = _incluster.InClusterConfigLoader
    load_kube_config_from_dict = _config.load_kube_config_from_dict
