"""The batches of an extraction: which rows, who lacks them, and what the networks read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from intertwine.arrays import Array
    from intertwine.encoders.encoder import Encoder
    from intertwine.encoders.preprocessing import Preprocessing, ResizeKey
    from intertwine.features.writer import FeatureSetWriter
    from intertwine.texts.listing import TextList


@dataclass(frozen=True)
class Batch:
    """Some rows, who lacks their features, and what those networks read.

    Parameters
    ----------
    rows
        The rows.
    wanted
        The encoders that lack some of them.
    bad
        By row, what is wrong with an image that cannot be read.
    pixels
        (n, h, w, 3) uint8 by what made them of the images.
    texts
        The texts, where the encoders read texts.
    turned
        Number of images whose cameras recorded an orientation.
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
    """Yield batches of texts in order.

    Parameters
    ----------
    texts
        The texts.
    work
        The rows of each batch, and the encoders that want them.
    """
    for rows, wanted in work:
        yield Batch(rows, wanted, texts=texts.texts(rows))


def plan(
    writer: FeatureSetWriter, encoders: Sequence[Encoder], batch_size: int
) -> list[tuple[range, list[Encoder]]]:
    """Return the batches of the absolute grid that lack rows, each with who lacks them.

    Parameters
    ----------
    writer
        The set.
    encoders
        Whose rows.
    batch_size
        Rows a batch; the grid begins at row 0 whatever is done already.
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
