"""Batches of the absolute grid through the encoders into a feature set, committed now and then."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from intertwine.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from intertwine.encoders.encoder import Encoder
    from intertwine.encoders.preprocessing import Preprocessing, ResizeKey
    from intertwine.features.writing.writer import FeatureSetWriter
    from intertwine.inputs.images.faces.cache import FaceCache
    from intertwine.inputs.images.listing import ImageList
    from intertwine.inputs.texts.listing import TextList
    from intertwine.numerics.arrays import Array
    from intertwine.parallel.progress import RowProgress

# Rows are brought to disk and marked complete this often.
COMMIT_SECONDS = 2.0


class ExtractRun:
    """One run of the pass.

    The writer has room for every space; `faces` are those known so far, where an encoder crops
    them. The run stops at an image that cannot be read, unless `skip_bad` passes such images over.
    """

    def __init__(
        self,
        listed: ImageList | TextList,
        writer: FeatureSetWriter,
        faces: FaceCache | None,
        *,
        skip_bad: bool,
    ) -> None:
        self._listed, self._writer, self._faces = listed, writer, faces
        self._skip_bad = skip_bad
        self.bad: set[int] = set()
        self.done: dict[str, int] = {}
        self.seconds = 0.0
        self.turned = 0

    @property
    def n_rows(self) -> int:
        """Rows of the set, without those that were left out."""
        return self._writer.n

    def run(self, batches: Iterable[Batch], total: int, progress: RowProgress) -> None:
        """Extract batches, `total` rows in all; whatever ends it, what was written is committed."""
        seen, committed = 0, (began := time.monotonic())
        progress(0, total)
        try:
            for batch in batches:
                self._meet_bad(batch)
                for encoder in batch.wanted:
                    self._write(encoder, batch)
                if time.monotonic() - committed >= COMMIT_SECONDS:
                    self._commit()
                    committed = time.monotonic()
                self.turned += batch.turned
                seen += len(batch.rows)
                progress(seen, total)
        finally:
            self._commit()
            self.seconds = time.monotonic() - began

    def leave_out_bad(self) -> None:
        """Leave the images that this run passed over out of the set."""
        if self.bad:
            self._writer.leave_out(sorted(self.bad))

    def _meet_bad(self, batch: Batch) -> None:
        """Note the bad images of a batch; raise at the first unless they are passed over."""
        if not batch.bad:
            return
        lacking = [pair for encoder in batch.wanted for pair in self._writer.missing(encoder.name)]
        # One at the edge of a batch may belong to another process, or be complete since long.
        bad = {
            row: reason
            for row, reason in batch.bad.items()
            if any(start <= row < stop for start, stop in lacking)
        }
        for row, reason in bad.items():
            self._writer.mark_bad(row, reason)
        self.bad |= bad.keys()
        if bad and not self._skip_bad:
            row, reason = next(iter(bad.items()))
            raise InputError(
                f"{self._listed.name(row)}: {reason}; repair it, or leave out such images with "
                "--skip-bad; the same command resumes from here"
            )

    def _write(self, encoder: Encoder, batch: Batch) -> None:
        """Write the rows of a batch that an encoder lacks."""
        self.done.setdefault(encoder.name, 0)
        parts = overlaps(self._writer.missing(encoder.name), batch.rows)
        parts = [run for part in parts for run in _between(part, batch.bad)]
        if not parts:
            return
        features = encoder.encode(batch.input(encoder))
        first = batch.rows.start
        for start, stop in parts:
            self._writer.write(encoder.name, start, features[start - first : stop - first])
            self.done[encoder.name] += stop - start

    def _commit(self) -> None:
        # Faces first: features on disk then never lack theirs.
        if self._faces is not None:
            self._faces.commit()
        self._writer.commit()


@dataclass(frozen=True)
class Batch:
    """Some rows, the encoders that lack their features, and what those networks read.

    `bad` says by row what is wrong with an image that cannot be read; `pixels` are (n, h, w, 3)
    uint8 by the resizing that they come from; `turned` counts images whose cameras recorded an
    orientation.
    """

    rows: range
    wanted: list[Encoder]
    bad: dict[int, str] = field(default_factory=dict)
    pixels: dict[ResizeKey, Array] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)
    turned: int = 0

    def input(self, encoder: Encoder) -> Array | list[str]:
        """Return what an encoder reads."""
        if encoder.reads == "texts":
            return self.texts
        return self.pixels[resize_key(encoder)]


def resize_key(encoder: Encoder) -> ResizeKey:
    """Return what an encoder of images must share with another to share its pixels."""
    return cast("Preprocessing", encoder.preprocessing).resize_key


def read_texts(texts: TextList, work: Sequence[tuple[range, list[Encoder]]]) -> Iterator[Batch]:
    """Yield batches of texts in order; `work` holds their rows and the encoders that want them."""
    for rows, wanted in work:
        yield Batch(rows, wanted, texts=texts.texts(rows))


def plan(
    writer: FeatureSetWriter, encoders: Sequence[Encoder], batch_size: int
) -> list[tuple[range, list[Encoder]]]:
    """Return the batches of the absolute grid that lack rows, and the encoders that lack them.

    The grid begins at row 0 whatever is done already.
    """
    missing = {encoder.name: writer.missing(encoder.name) for encoder in encoders}
    work = []
    for start in range(0, writer.n, batch_size):
        batch = range(start, min(writer.n, start + batch_size))
        wanted = [encoder for encoder in encoders if overlaps(missing[encoder.name], batch)]
        if wanted:
            work.append((batch, wanted))
    return work


def overlaps(ranges: Sequence[tuple[int, int]], batch: range) -> list[tuple[int, int]]:
    """Return the parts of ascending ranges of rows that lie in a batch."""
    cut = ((max(start, batch.start), min(stop, batch.stop)) for start, stop in ranges)
    return [(start, stop) for start, stop in cut if start < stop]


def _between(part: tuple[int, int], bad: Iterable[int]) -> list[tuple[int, int]]:
    """Return the runs of a range of rows without the bad ones."""
    start, stop = part
    inside = sorted(row for row in bad if start <= row < stop)
    edges = zip([start, *(row + 1 for row in inside)], [*inside, stop], strict=True)
    return [(low, high) for low, high in edges if low < high]
