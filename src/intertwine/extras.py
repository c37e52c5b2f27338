"""What is imported only when used: optional dependencies, and names that a package exports."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from intertwine.errors import MissingExtraError
from intertwine.wording import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType

DISTRIBUTION = "intertwine"


def known_extras() -> tuple[str, ...]:
    """Return the extras that the installed package declares, its one source of truth."""
    from importlib import metadata

    return tuple(metadata.metadata(DISTRIBUTION).get_all("Provides-Extra") or ())


def installed_version() -> str:
    """Return the version that the installed package states; `unknown` where it is not installed."""
    from importlib import metadata

    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return "unknown"


def import_extra(module: str, extra: str) -> ModuleType:
    """Return an optional module, imported; `extra` is the extra of this package that installs it.

    MissingExtraError, with the pip line, when the module or something it needs is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None:
            # Raised by a library that is installed, about another one that cannot be used.
            raise MissingExtraError(f"{module} cannot be imported ({one_line(error)})") from error
        raise MissingExtraError(
            f"{error.name} is not installed; run: pip install '{DISTRIBUTION}[{extra}]'",
            name=error.name,
        ) from error


def lazy_names(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Return a package's `__getattr__` that imports each exported name when it is first used.

    `homes` maps each name to the module, below the package, that defines it.
    """

    def find(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}.{homes[name]}"), name)

    return find
