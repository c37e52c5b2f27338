"""Counts with their nouns, names in a row, and messages of other libraries."""

from __future__ import annotations

import pytest

from intertwine.wording import counted, named, one_line


@pytest.mark.parametrize(
    ("n", "nouns", "want"),
    [
        (0, ("row",), "0 rows"),
        (1, ("row",), "1 row"),
        (2, ("row",), "2 rows"),
        (1, ("person", "people"), "1 person"),
        (2, ("person was", "people were"), "2 people were"),
    ],
)
def test_a_count_takes_the_noun_that_fits(n, nouns, want):
    """One is singular; nought and all others are plural."""
    assert counted(n, *nouns) == want


def test_a_count_is_written_as_asked():
    """Thousands are grouped where a form asks for it."""
    assert counted(12_345, "row") == "12345 rows"
    assert counted(12_345, "row", form=",") == "12,345 rows"


def test_names_stand_in_a_row():
    """Names are joined by commas, and none is a word."""
    assert named(["a", "b"]) == "a, b"
    assert named(()) == "none"
    assert named((), "nothing") == "nothing"


@pytest.mark.parametrize(
    ("error", "want"),
    [
        (RuntimeError("no such\n  thing\r\n"), "no such thing"),
        (ValueError(), "ValueError"),
        (OSError("x " * 400), "x " * 149 + "x…"),
    ],
)
def test_an_error_of_another_library_is_one_short_line(error, want):
    """Line breaks become blanks, long messages are cut, and an empty one is its type."""
    assert one_line(error) == want
