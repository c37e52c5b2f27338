"""Notes beside a result: what a reader should know, and doubts, which come before all else."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class Doubt(str):
    """A note that puts results in question: the first thing that a reader should see."""

    __slots__ = ()


def by_weight(notes: Iterable[str]) -> dict[str, list[str]]:
    """Return the facts `warnings`, the doubts among some notes, and `notes`, all with doubts first."""
    listed = list(dict.fromkeys(notes))
    doubts = [str(note) for note in listed if isinstance(note, Doubt)]
    return {"warnings": doubts, "notes": [*doubts, *(n for n in listed if n not in doubts)]}
