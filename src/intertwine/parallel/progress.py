"""The callbacks that long work calls with what it has done so far."""

from __future__ import annotations

from collections.abc import Callable

#: What is being done, how much of it is done, and how much there is in all.
Progress = Callable[[str, int, int], None]

#: How many rows are done, and how many there are in all.
RowProgress = Callable[[int, int], None]
