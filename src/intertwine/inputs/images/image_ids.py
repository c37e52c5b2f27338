"""The row of an image that a list names, where lists write ids in their own ways.

A whole id comes first. If it is absent, an id may lack the folders or the extension that the other
side writes, but never contradict them: `X` and `lfw/X.jpg` are one image, `a/X` and `b/X` two.
"""

from __future__ import annotations

import unicodedata
from functools import cached_property
from itertools import takewhile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Parts = tuple[str, ...]

# Other endings are part of a name: `Name_Jr._0001`, `id0.p99`.
_EXTENSIONS = frozenset(
    [
        "avif",
        "bmp",
        "gif",
        "heic",
        "heif",
        "jfif",
        "jp2",
        "jpe",
        "jpeg",
        "jpg",
        "pgm",
        "png",
        "pnm",
        "ppm",
        "tif",
        "tiff",
        "webp",
    ]
)


def split_id(name: str) -> tuple[Parts, str]:
    """Return an id's folders and name without an image's extension, and that extension."""
    text = unicodedata.normalize("NFC", name).replace("\\", "/")
    pieces = [piece for piece in text.split("/") if piece not in {"", "."}] or [text]
    stem, _, ending = pieces[-1].rpartition(".")
    if not stem or ending.lower() not in _EXTENSIONS:
        return tuple(pieces), ""
    return (*pieces[:-1], stem), ending.lower()


def is_one_image(first: str, second: str) -> bool:
    """Return whether two ids may name one image: neither contradicts the other."""
    (one, ending), (other, another) = split_id(first), split_id(second)
    length = min(len(one), len(other))
    return one[-length:] == other[-length:] and (ending == another or not (ending and another))


class ImageIds:
    """The ids of a set's rows, found by whole ids or as other lists write them."""

    def __init__(self, ids: Sequence[str]) -> None:
        self.ids = list(ids)
        self._whole = {name: row for row, name in enumerate(self.ids)}

    @cached_property
    def _parts(self) -> list[Parts]:
        return [split_id(name)[0] for name in self.ids]

    @cached_property
    def _by_parts(self) -> dict[Parts, list[int]]:
        return _rows_by((parts, row) for row, parts in enumerate(self._parts))

    @cached_property
    def _by_ending(self) -> dict[Parts, list[int]]:
        """Rows by each proper end of their id."""
        return _rows_by(
            (parts[start:], row)
            for row, parts in enumerate(self._parts)
            for start in range(1, len(parts))
        )

    def find_whole(self, names: Iterable[str]) -> dict[str, list[int]]:
        """Return the row of each name that is a whole id; none where it is absent."""
        return {name: [self._whole[name]] if name in self._whole else [] for name in names}

    def like(self, name: str) -> str:
        """Return an id of the set with the same name in another folder, if there is one."""
        last = split_id(name)[0][-1:]
        rows = self._by_ending.get(last) or self._by_parts.get(last) or [0]
        return self.ids[rows[0]]

    def find(self, names: Iterable[str]) -> dict[str, list[int]]:
        """Return the rows that each name, as a list writes it, may mean.

        None where it is absent, several where it is ambiguous.
        """
        rows_of = self.find_whole(names)
        rest = {name: split_id(name)[0] for name, rows in rows_of.items() if not rows}
        if not rest:
            return rows_of
        same = {name: self._by_parts.get(parts, []) for name, parts in rest.items()}
        # Where some ids agree, folders and all, the folders of the others mean something too.
        agree = any(rows and len(split_id(name)[0]) > 1 for name, rows in (rows_of | same).items())
        return rows_of | {
            name: same[name] or self._longer_or_shorter(parts, longer_only=agree)
            for name, parts in rest.items()
        }

    def _longer_or_shorter(self, parts: Parts, *, longer_only: bool) -> list[int]:
        rows = list(self._by_ending.get(parts, []))
        for start in range(len(parts) if longer_only else 1, len(parts)):
            rows += self._by_parts.get(parts[start:], [])
        return rows

    def find_below_roots(self, names: Iterable[str]) -> dict[str, list[int]]:
        """Return what `find` does, without the folders that all ids of a side begin with."""
        parts = {name: split_id(name)[0] for name in names}
        mine, theirs = (_root(all_parts) for all_parts in (self._parts, parts.values()))
        below = _rows_by((folders[mine:], row) for row, folders in enumerate(self._parts))
        return {name: below.get(folders[theirs:], []) for name, folders in parts.items()}


def _rows_by(pairs: Iterable[tuple[Parts, int]]) -> dict[Parts, list[int]]:
    rows: dict[Parts, list[int]] = {}
    for parts, row in pairs:
        rows.setdefault(parts, []).append(row)
    return rows


def _root(parts: Iterable[Parts]) -> int:
    """Return how many leading folders all ids share."""
    levels = zip(*(pieces[:-1] for pieces in parts), strict=False)
    return sum(1 for _ in takewhile(lambda level: len(set(level)) == 1, levels))
