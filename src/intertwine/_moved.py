"""Old names of modules and arguments; each works for one version, with a warning."""

from __future__ import annotations

import functools
import sys
import warnings
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import ModuleType

P = ParamSpec("P")
R = TypeVar("R")

# Public modules that have moved, without `intertwine.`; a package stands for all that is in it.
MODULES = {
    "exports": "maps.exports",
    "images": "inputs.images",
    "images.pairs": "studies.open_set.pairs",
    "linear_map": "maps.linear_map",
    "map_pair": "maps.map_pair",
    "similarity.cknna": "similarity.neighbours",
    "similarity.mutual_knn": "similarity.neighbours",
    "studies.open_set_options": "studies.open_set.options",
    "studies.similarity_options": "studies.similarity.study",
}
ROOT = "intertwine."


class _SameModule(Loader):
    """Loads a module under its old name as the very module that has the new one."""

    def __init__(self, new: str) -> None:
        self.new = new

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the module with the new name."""
        _warn(f"{spec.name} is now {self.new}", stacklevel=2)
        module = import_module(self.new)
        self.spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Run nothing: the module has run under its new name, which it keeps."""
        module.__spec__ = self.spec


class MovedModules(MetaPathFinder):
    """Finds modules by the names that they had in the version before."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return a spec that loads the module under its new name; None for any other name."""
        del path, target
        new = _new_name(name)
        return ModuleSpec(name, _SameModule(new)) if new else None


def _new_name(name: str) -> str | None:
    """Return where a module, or its package, has moved; None where neither has."""
    old, rest = name.removeprefix(ROOT), ""
    if old == name:
        return None
    while old not in MODULES:
        old, _, last = old.rpartition(".")
        if not old:
            return None
        rest = f".{last}{rest}"
    new = ROOT + MODULES[old] + rest
    return new if find_spec(new) else None


def _warn(text: str, *, stacklevel: int) -> None:
    warnings.warn(
        f"{text}; the next version removes the old name",
        DeprecationWarning,
        stacklevel=stacklevel + 1,
    )


def install() -> None:
    """Make imports find modules by their old names too.

    First of all finders: a moved package's own search path would load its modules a second time.
    """
    if not any(isinstance(finder, MovedModules) for finder in sys.meta_path):
        sys.meta_path.insert(0, MovedModules())


def old_names(module: str, names: Mapping[str, str]) -> Callable[[str], Any]:
    """Return a module's `__getattr__` that finds what it defines by old names, with a warning.

    Parameters
    ----------
    module
        The module's name.
    names
        New name by old name.
    """

    def find(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        _warn(f"{module}.{name} is now {names[name]}", stacklevel=2)
        return getattr(sys.modules[module], names[name])

    return find


def renamed(**names: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator that accepts keyword arguments by their old names, with a warning.

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
                    if new in kwargs:
                        raise TypeError(
                            f"got {old} and {new}, two names of one argument; use {new}"
                        )
                    _warn(f"argument {old} of {function.__name__} is now {new}", stacklevel=2)
                    renamed_argument: dict[str, Any] = {new: kwargs.pop(old)}
                    kwargs.update(renamed_argument)
            return function(*args, **kwargs)

        return call

    return decorate
