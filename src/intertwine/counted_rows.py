"""Which rows of which feature set went into moments, so that none is counted twice."""

from __future__ import annotations

from intertwine.errors import InputError

# (key of a feature set, first row, row after the last)
RowRange = tuple[str, int, int]


def joined(first: list[RowRange], other: list[RowRange]) -> list[RowRange]:
    """Return the rows of both, in order, ranges that touch made one.

    Raises
    ------
    InputError
        When a row is in both.
    """
    ranges: list[RowRange] = []
    for key, start, stop in sorted([*first, *other]):
        last_key, last_start, last_stop = ranges[-1] if ranges else ("", 0, 0)
        if key == last_key and start < last_stop:
            raise InputError(
                f"rows {start}:{min(stop, last_stop)} of one feature set are in both moments, "
                "expected each row once; leave one of them out"
            )
        if key == last_key and start == last_stop:
            ranges[-1] = (key, last_start, stop)
        else:
            ranges.append((key, start, stop))
    return ranges
