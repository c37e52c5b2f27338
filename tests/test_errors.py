import inspect
import re

import pytest

from intertwine import errors
from intertwine.errors import (
    FileFormatError,
    InputError,
    IntertwineError,
    MissingExtraError,
    SpaceMismatchError,
)

# A doubt is a note beside a result, and nothing that is raised.
CLASSES = {
    name: kind
    for name, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, BaseException)
}


@pytest.mark.parametrize("name", CLASSES)
def test_one_except_clause_catches_every_error(name):
    """Every error of the package is an IntertwineError."""
    assert issubclass(CLASSES[name], IntertwineError)


@pytest.mark.parametrize(
    ("error", "builtin"),
    [(InputError, ValueError), (SpaceMismatchError, InputError), (MissingExtraError, ImportError)],
)
def test_errors_are_what_callers_already_catch(error, builtin):
    """Bad input is a ValueError and a missing extra an ImportError."""
    assert issubclass(error, builtin)


def test_a_broken_file_is_no_value_error():
    """A broken file is told apart from bad input."""
    assert not issubclass(FileFormatError, ValueError)


def test_the_tree_drawn_in_the_module_is_the_tree():
    """The drawing at the top of the module names every class and no other."""
    drawn = set(re.findall(r"\b\w+Error\b", errors.__doc__)) - {"ValueError", "ImportError"}
    assert drawn == set(CLASSES)
