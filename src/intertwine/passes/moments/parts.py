"""Parts of the rows, computed by workers, merged in the order of the rows.

Where the parts end depends on the number of rows alone, so that the same bytes come out whatever
the number of workers and whichever of them died.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from intertwine.features.feature_set import FeatureSet, file_stamps
from intertwine.moments.accumulators.grid import BLOCK_ROWS
from intertwine.moments.moments import Moments
from intertwine.numerics.arrays import Array
from intertwine.storage.row_ranges import cut_on_grid
from intertwine.storage.shelf import Checkpoints, run_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from intertwine.moments.accumulators import Products
    from intertwine.parallel.workers import Workers
    from intertwine.spaces import Space

# From the (k,) uint64 hashes of rows' ids, their features by space.
ExtraFeatures = Callable[[Array], dict[str, Array]]
# A part has at least this many blocks of rows, since merging one costs as much as some thousand
# rows, and a set has at most this many parts but for that.
LEAST_BLOCKS = 2
MOST_PARTS = 64
# Larger parts come back as files: pickled they would be held in memory several times over.
PICKLED_BYTES = 1 << 26


@dataclass(frozen=True)
class Part:
    """Some rows of a feature set, a range or (k,) numbers, whose moments a worker computes.

    `offset` is the place of the first among all rows, which the absolute grid goes by; `key`
    distinguishes these rows and moments from others; for `extra_features` see `joint.add_rows`.
    """

    paths: tuple[str, ...]
    spaces: tuple[Space, ...]
    origin: dict[str, Array]
    products: Products
    rows: range | Array
    offset: int
    key: str
    extra_features: ExtraFeatures | None = None

    @classmethod
    def of(
        cls,
        feature_set: FeatureSet,
        moments: Moments,
        rows: range | Array,
        offset: int,
        *,
        extra_features: ExtraFeatures | None = None,
    ) -> Part:
        """Return the part of a set that some rows are."""
        feature_set = feature_set.on_disk()
        paths = tuple(str(path.absolute()) for path in feature_set.paths)
        spaces = tuple(moments.spaces.values())
        facts = [file_stamps(feature_set), [s.to_json() for s in spaces], repr(moments.products)]
        key = run_key([*facts, offset], np.asarray(rows, np.int64))
        return cls(
            paths, spaces, moments.origin, moments.products, rows, offset, key, extra_features
        )

    def moments(self) -> Moments:
        """Read the rows and return their moments."""
        moments = Moments(
            self.spaces, origin=self.origin, first_row=self.offset, **vars(self.products)
        )
        feature_set = FeatureSet.open(*self.paths)
        for numbers, chunk in chunks_with_extra(
            feature_set, moments, self.rows, self.extra_features
        ):
            moments.update(chunk, rows=numbers)
        moments.flush()
        return moments


def chunks_with_extra(
    feature_set: FeatureSet,
    moments: Moments,
    rows: range | Array,
    extra_features: ExtraFeatures | None,
) -> Iterator[tuple[range | Array, dict[str, Array]]]:
    """Yield chunks of rows of a set, with the features of spaces that it does not hold added."""
    if extra_features is None:
        yield from feature_set.chunks(list(moments.spaces), rows)
        return
    names = [name for name in moments.spaces if name in feature_set.spaces]
    for numbers, chunk in feature_set.chunks(names, rows):
        yield numbers, {**chunk, **extra_features(feature_set.id_hashes[np.asarray(numbers)])}


def whole_pieces(n_rows: int, moments: Moments) -> list[tuple[slice, int]]:
    """Cut the next n_rows rows of moments into parts of whole blocks of the absolute grid.

    Each part is a slice of the rows, and the place of its first row among all rows.
    """
    first = moments.next_row
    blocks = max(LEAST_BLOCKS, -(-n_rows // (BLOCK_ROWS * MOST_PARTS)))
    parts = cut_on_grid(first, first + n_rows, blocks * BLOCK_ROWS)
    return [(slice(start - first, stop - first), start) for start, stop in parts]


def merged_parts(
    moments: Moments, parts: Sequence[Part], workers: Workers, saved: Checkpoints | None
) -> Iterator[Part]:
    """Add parts from workers to moments in place, in the order of the rows; yield each one added.

    Parts that come as files are saved, in a temporary folder when `saved` is None.
    """
    with tempfile.TemporaryDirectory(prefix="intertwine-") as temporary:
        if saved is None and 4 * moments.dim**2 > PICKLED_BYTES:
            saved = Checkpoints(Path(temporary), run_key(None), "part")
        come: dict[int, Moments | Path] = {} if saved is None else _finished(parts, saved)
        wanted = [i for i in range(len(parts)) if i not in come]
        results = workers.run(
            partial(_worked_out, saved),
            [parts[i] for i in wanted],
            # Results that come as files may wait; those in memory must not pile up.
            window=2 * workers.in_flight if saved is None else None,
        )
        for turn, part in enumerate(parts):
            while turn not in come:
                number, result = next(results)
                come[wanted[number]] = result
            got = come.pop(turn)
            moments += got if isinstance(got, Moments) else Moments.load(got)
            moments.next_row = part.offset + len(part.rows)
            yield part


def _finished(parts: Sequence[Part], saved: Checkpoints) -> dict[int, Moments | Path]:
    """Return the files of the parts that a killed run had finished, by the parts' numbers."""
    return {
        number: saved.path(part.key)
        for number, part in enumerate(parts)
        if saved.load(part.key, Moments.load) is not None
    }


def _worked_out(saved: Checkpoints | None, part: Part) -> Moments | Path:
    """Return a part's moments, or the file that they are in."""
    moments = part.moments()
    if saved is None:
        return moments
    file = saved.path(part.key)
    moments.save(file)
    return file
