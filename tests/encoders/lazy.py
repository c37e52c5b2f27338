"""What tests need of large libraries, imported when it is first used and not when tests are collected."""

from __future__ import annotations

import importlib
from functools import cache


class Lazy:
    """What a function returns, called when it is first used: a module, a class or an instance."""

    def __init__(self, make):
        object.__setattr__(self, "_made", cache(make))

    def __getattr__(self, name):
        # Pytest asks every name of a module for some of these when it collects.
        if name == "_mock_name" or (name.startswith("__") and name != "__version__"):
            raise AttributeError(name)
        return getattr(self._made(), name)

    def __setattr__(self, name, value):
        setattr(self._made(), name, value)

    def __delattr__(self, name):
        delattr(self._made(), name)

    def __call__(self, *arguments, **options):
        """Call it."""
        return self._made()(*arguments, **options)


def lazy(module, name=None):
    """Return a module, or what one calls by a name, imported when it is first used."""

    def make():
        found = importlib.import_module(module)
        return found if name is None else getattr(found, name)

    return Lazy(make)
