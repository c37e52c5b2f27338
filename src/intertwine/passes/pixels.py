"""Images decoded once, ahead of the networks, each face found once."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from intertwine.images.decode import decode, resize
from intertwine.images.face_crops import crop_face
from intertwine.threads import available_cores

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from intertwine.arrays import Array
    from intertwine.encoders.encoder import Encoder
    from intertwine.encoders.preprocessing import ResizeKey
    from intertwine.images.face_cache import FaceCache
    from intertwine.images.face_detection import Face, FaceDetector
    from intertwine.images.listing import ImageList

# Batches decoded ahead of the networks.
BATCHES_AHEAD = 2


@dataclass(frozen=True)
class Batch:
    """Some rows, who lacks their features, and the pixels that those networks read.

    Parameters
    ----------
    rows
        The rows.
    wanted
        The encoders that lack some of them.
    pixels
        (n, h, w, 3) uint8 by what made them of the images.
    """

    rows: range
    wanted: list[Encoder]
    pixels: dict[ResizeKey, Array]


@dataclass(frozen=True)
class _Pending:
    rows: range
    wanted: list[Encoder]
    files: list[Future[tuple[Face | None, dict[ResizeKey, Array]]]]


def read_batches(
    images: ImageList,
    work: Sequence[tuple[range, list[Encoder]]],
    *,
    workers: int | None = None,
    faces: FaceCache | None = None,
) -> Iterator[Batch]:
    """Yield batches in order while threads decode a bounded number of them ahead.

    Parameters
    ----------
    images
        The images.
    work
        The rows of each batch, and the encoders that want them.
    workers
        Threads that decode; two, or fewer than the cores, when omitted.
    faces
        The faces known so far, where an encoder crops them; those found are taken in in the order
        of the rows, whichever thread is first.
    """
    queue: deque[_Pending] = deque()
    with ThreadPoolExecutor(workers or min(2, available_cores()), "decode") as pool:
        try:
            for rows, wanted in work:
                keys = {encoder.preprocessing.resize_key for encoder in wanted}
                known = [None if faces is None else faces.get(images.ids[row]) for row in rows]
                detector = None if faces is None else faces.detector
                files = [
                    pool.submit(_pixels, images.file(row), keys, face, detector)
                    for row, face in zip(rows, known, strict=True)
                ]
                queue.append(_Pending(rows, wanted, files))
                if len(queue) > BATCHES_AHEAD:
                    yield _stacked(queue.popleft(), images, faces)
            while queue:
                yield _stacked(queue.popleft(), images, faces)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _pixels(
    path: Path, keys: set[ResizeKey], face: Face | None, detector: FaceDetector | None
) -> tuple[Face | None, dict[ResizeKey, Array]]:
    """Return an image's face, where a network crops it, and its pixels for each network."""
    image, pixels = decode(path), {}
    for key in keys:
        size, shorter, interpolation, crop = key
        if crop is None or detector is None:
            pixels[key] = resize(image, size, shorter, interpolation)
            continue
        face = face or detector.detect(image)
        pixels[key] = crop_face(image, face, size, crop, interpolation)
    return face, pixels


def _stacked(pending: _Pending, images: ImageList, faces: FaceCache | None) -> Batch:
    done = [file.result() for file in pending.files]
    for row, (face, _) in zip(pending.rows, done, strict=True):
        if faces is not None and face is not None and faces.get(images.ids[row]) is None:
            faces.add(images.ids[row], face)
    pixels = {key: np.stack([one[key] for _, one in done]) for key in done[0][1]}
    return Batch(pending.rows, pending.wanted, pixels)
