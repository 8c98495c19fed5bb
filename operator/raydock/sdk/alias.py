"""`synapse_sdk` as another name of `raydock.sdk`: a plugin of the package runs as it is.

`install()` at the start of the interpreter: raydock-synapse.pth calls it, in the runtime image and in the
wheel. It does something only where RAYDOCK_SYNAPSE_ALIAS is 1, as it is in that image.
"""

import importlib
import importlib.util
import os
import sys
import threading
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Final, cast

from typing_extensions import override

SWITCH_ENV: Final = "RAYDOCK_SYNAPSE_ALIAS"
ALIAS: Final = "synapse_sdk"
REAL: Final = "raydock.sdk"


def install() -> bool:
    """Whether `synapse_sdk` now means `raydock.sdk` where the real package is absent; may be repeated."""
    if os.environ.get(SWITCH_ENV) != "1":  # noqa: TID251 - set in images of the runtime
        return False
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    return True


class _Finder(MetaPathFinder):
    """First in line: a later one would load the files of `raydock.sdk` again, under the other name.

    For the package itself it lets all the others go first: what is really installed wins.
    """

    def __init__(self) -> None:
        self._here = threading.local()

    @override
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != ALIAS and not fullname.startswith(f"{ALIAS}."):
            return None
        if fullname == ALIAS:
            if getattr(self._here, "asking", False):
                return None  # one of those that are asked asks everybody in turn
            if (installed := self._elsewhere(fullname, path, target)) is not None:
                return installed
        elif (parent := sys.modules.get(ALIAS)) is None or parent is not sys.modules.get(REAL):
            return None
        real = importlib.util.find_spec(REAL + fullname.removeprefix(ALIAS))
        if real is None:
            return None
        return ModuleSpec(
            fullname, _Loader(real.name), is_package=real.submodule_search_locations is not None
        )

    def _elsewhere(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None
    ) -> ModuleSpec | None:
        """What another finder has: that of an editable installation stands last in line, behind this one."""
        self._here.asking = True
        try:
            for finder in list(sys.meta_path):
                find = None if isinstance(finder, _Finder) else getattr(finder, "find_spec", None)
                if find is not None and (found := find(fullname, path, target)) is not None:
                    return cast("ModuleSpec", found)
        finally:
            self._here.asking = False
        return None


class _Loader(Loader):
    """Gives the module of the other name."""

    def __init__(self, real: str) -> None:
        self._real = real
        self._spec: ModuleSpec | None = None

    @override
    def create_module(self, _spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(self._real)
        self._spec = module.__spec__
        return module

    @override
    def exec_module(self, module: ModuleType) -> None:
        # It was executed under its own name; the import system has put the alias's spec over its own.
        module.__spec__ = self._spec
