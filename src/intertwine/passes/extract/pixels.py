"""Images decoded once, ahead of the networks, each face found once."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from intertwine.errors import InputError
from intertwine.inputs.images.decode import UnreadableImageError, decode, is_turned, resize, upright
from intertwine.inputs.images.faces.crops import crop_face
from intertwine.parallel.threads import available_cores
from intertwine.passes.extract.run import Batch, resize_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Future

    from PIL.Image import Image

    from intertwine.encoders.encoder import Encoder
    from intertwine.encoders.preprocessing import ResizeKey
    from intertwine.inputs.images.faces.cache import FaceCache
    from intertwine.inputs.images.faces.detection import Face, FaceDetector
    from intertwine.inputs.images.listing import ImageList
    from intertwine.numerics.arrays import Array

# Batches decoded ahead of the networks.
BATCHES_AHEAD = 2


@dataclass(frozen=True)
class _Pending:
    """A batch whose images are being decoded.

    Each of `images` becomes a face, what is wrong with the image, or None; `turned` collects the
    rows whose cameras recorded an orientation.
    """

    rows: range
    wanted: list[Encoder]
    pixels: dict[ResizeKey, Array]
    images: list[Future[Face | str | None]]
    turned: list[int]


def read_images(
    images: ImageList,
    work: Sequence[tuple[range, list[Encoder]]],
    *,
    workers: int | None = None,
    faces: FaceCache | None = None,
) -> Iterator[Batch]:
    """Yield batches in order while threads decode a bounded number of them ahead.

    `work` holds the rows of each batch, and the encoders that want them; `workers` are threads, one
    a core when omitted. `faces` are the faces known so far, where an encoder crops them; those
    found are added in the order of the rows, whichever thread is first. A batch's pixels are (n, h,
    w, 3) uint8; an image that cannot be read is black and listed as bad.
    """
    queue: deque[_Pending] = deque()
    with ThreadPoolExecutor(workers or available_cores(), "decode") as pool:
        try:
            for rows, wanted in work:
                queue.append(_begin(pool, images, rows, wanted, faces))
                if len(queue) > BATCHES_AHEAD:
                    yield _finished(queue.popleft(), images, faces)
            while queue:
                yield _finished(queue.popleft(), images, faces)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _begin(
    pool: ThreadPoolExecutor,
    images: ImageList,
    rows: range,
    wanted: list[Encoder],
    faces: FaceCache | None,
) -> _Pending:
    keys = {resize_key(encoder) for encoder in wanted}
    # Each thread writes into the batch, which so needs no copy to be put together.
    pixels = {key: np.empty((len(rows), *key[0], 3), np.uint8) for key in keys}
    detector = None if faces is None else faces.detector
    futures = []
    turned: list[int] = []
    for at, row in enumerate(rows):
        face = None if faces is None else faces.get(images.ids[row])
        places = {key: array[at] for key, array in pixels.items()}
        futures.append(pool.submit(_read, images, row, places, face, detector, turned))
    return _Pending(rows, wanted, pixels, futures, turned)


def _read(
    images: ImageList,
    row: int,
    pixels: dict[ResizeKey, Array],
    face: Face | None,
    detector: FaceDetector | None,
    turned: list[int],
) -> Face | str | None:
    """Fill in an image's pixels for each network; return its face, or what is wrong with it."""
    try:
        image = decode(images.open(row), name=images.name(row))
    except InputError as error:
        for place in pixels.values():
            place[:] = 0
        return error.reason if isinstance(error, UnreadableImageError) else str(error)
    if is_turned(image):
        turned.append(row)
    for key, place in pixels.items():
        face = _fill(place, image, key, face, detector)
    return face


def _fill(
    place: Array, image: Image, key: ResizeKey, face: Face | None, detector: FaceDetector | None
) -> Face | None:
    size, shorter, interpolation, crop = key
    if crop is None or detector is None:
        place[:] = resize(image, size, shorter, interpolation)
        return face
    image = upright(image)
    face = face or detector.detect(image)
    place[:] = crop_face(image, face, size, crop, interpolation)
    return face


def _finished(pending: _Pending, images: ImageList, faces: FaceCache | None) -> Batch:
    bad = {}
    for row, future in zip(pending.rows, pending.images, strict=True):
        outcome = future.result()
        if isinstance(outcome, str):
            bad[row] = outcome
        elif faces is not None and outcome is not None and faces.get(images.ids[row]) is None:
            faces.add(images.ids[row], outcome)
    return Batch(
        pending.rows, pending.wanted, bad, pixels=pending.pixels, turned=len(pending.turned)
    )
