"""Old names of modules and arguments; each works for one version, with a warning."""

from __future__ import annotations

import functools
import sys
import warnings
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

P = ParamSpec("P")
R = TypeVar("R")

# Public modules that have moved, without `intertwine.`.
MODULES = {
    "exports": "maps.exports",
    "exports.bridge": "maps.exports.bridge",
    "exports.faiss": "maps.exports.faiss",
    "exports.onnx": "maps.exports.onnx",
    "exports.sklearn": "maps.exports.sklearn",
    "exports.sql": "maps.exports.sql",
    "exports.torch": "maps.exports.torch",
    "images.pairs": "studies.open_set.pairs",
    "linear_map": "maps.linear_map",
    "map_pair": "maps.map_pair",
    "similarity.cknna": "similarity.neighbours",
    "similarity.mutual_knn": "similarity.neighbours",
    "studies.open_set_options": "studies.open_set.options",
    "studies.similarity_options": "studies.similarity.study",
}
ROOT = "intertwine."


class _Same(Loader):
    """Loads a module under its old name as the very module that has the new one."""

    def __init__(self, new: str) -> None:
        self.new = new

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the module with the new name."""
        warnings.warn(
            f"{spec.name} is {self.new} now; the old name goes with the next version",
            DeprecationWarning,
            stacklevel=2,
        )
        module = import_module(self.new)
        self.spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Run nothing, as the module has run under its new name, which it keeps."""
        module.__spec__ = self.spec


class MovedModules(MetaPathFinder):
    """Finds modules by the names that they had in the version before."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where a module is now; nothing for any other name."""
        del path, target
        new = MODULES.get(name.removeprefix(ROOT)) if name.startswith(ROOT) else None
        return ModuleSpec(name, _Same(ROOT + new)) if new else None


def install() -> None:
    """Let imports find modules by their old names, after everything else has failed."""
    if not any(isinstance(finder, MovedModules) for finder in sys.meta_path):
        sys.meta_path.append(MovedModules())


def renamed(**names: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator that accepts keyword arguments by their old names.

    Parameters
    ----------
    names
        New name by old name.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            for old, new in names.items():
                if old in kwargs:
                    warnings.warn(
                        f"argument {old} is {new} now; the old name goes with the next version",
                        DeprecationWarning,
                        stacklevel=2,
                    )
                    more: dict[str, Any] = {new: kwargs.pop(old)}
                    kwargs.update(more)
            return function(*args, **kwargs)

        return call

    return decorate
