"""Batches through the encoders into a feature set, committed now and then; bad images met."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from intertwine.errors import InputError
from intertwine.passes.batches import overlaps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from intertwine.encoders.encoder import Encoder
    from intertwine.features.writer import FeatureSetWriter
    from intertwine.images.face_cache import FaceCache
    from intertwine.images.listing import ImageList
    from intertwine.passes.batches import Batch
    from intertwine.texts.listing import TextList

# Rows are brought to disk and marked complete this often.
COMMIT_SECONDS = 2.0


class ExtractRun:
    """One run of the pass.

    Parameters
    ----------
    listed
        The rows.
    writer
        The set, room made for every space.
    faces
        The faces known so far, where an encoder crops them.
    skip_bad
        Whether an image that cannot be read is passed over; otherwise the run stops at it.
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

    def run(
        self, batches: Iterable[Batch], total: int, progress: Callable[[int, int], None]
    ) -> None:
        """Extract batches; whatever ends it, what was written is committed.

        Parameters
        ----------
        batches
            The batches in order.
        total
            Rows in all of them.
        progress
            Called with (done, total) rows.

        Raises
        ------
        InputError
            At an image that cannot be read, unless such are passed over.
        """
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
                "--skip-bad; the same command goes on from here"
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


def _between(part: tuple[int, int], bad: Iterable[int]) -> list[tuple[int, int]]:
    """Return the runs of a range of rows without the bad ones."""
    start, stop = part
    inside = sorted(row for row in bad if start <= row < stop)
    edges = zip([start, *(row + 1 for row in inside)], [*inside, stop], strict=True)
    return [(low, high) for low, high in edges if low < high]
