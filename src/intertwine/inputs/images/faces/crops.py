"""The two crops that face networks read: a box with a margin, and the ArcFace alignment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from intertwine.extras import import_extra
from intertwine.inputs.images.faces.detection import TEMPLATE, TEMPLATE_SIZE

if TYPE_CHECKING:
    from PIL.Image import Image

    from intertwine.inputs.images.faces.detection import Face
    from intertwine.numerics.arrays import Array


def crop_face(
    image: Image, face: Face, size: tuple[int, int], crop: str, interpolation: str = "bilinear"
) -> Array:
    """Return the pixels of a face of a Pillow RGB image at a size (h, w), (h, w, 3) uint8.

    `crop` is `box:MARGIN`, or `arcface`, for which height and width are equal. `interpolation` is
    `bilinear`, `bicubic`, `nearest`; with a box also `lanczos`.
    """
    kind, _, margin = crop.partition(":")
    if kind == "box":
        return box_crop(image, face.box, size, int(margin), interpolation)
    return aligned_crop(image, face.points, size[0], interpolation)


def box_crop(
    image: Image,
    box: tuple[float, ...],
    size: tuple[int, int],
    margin: int,
    interpolation: str = "bilinear",
) -> Array:
    """Return a box (left, top, right, bottom) with a margin, cut at the image's edges and resized.

    The margin, less than height and width, counts in pixels of the result, both sides together, as
    in FaceNet: at width s the box grows in all by margin · (its width) / (s − margin).
    `interpolation` is `bilinear`, `bicubic`, `lanczos` (all antialiased) or `nearest`.
    """
    method = import_extra("PIL.Image", "faces").Resampling[interpolation.upper()]
    cut = []
    for low, high, side, limit in zip(box[:2], box[2:], reversed(size), image.size, strict=True):
        more = margin * (high - low) / (side - margin) / 2
        first = min(max(int(low - more), 0), limit - 1)
        cut.append((first, max(min(int(high + more), limit), first + 1)))
    (left, right), (top, bottom) = cut
    part = image.crop((left, top, right, bottom))
    return np.asarray(part.resize((size[1], size[0]), method))


def aligned_crop(
    image: Image, points: tuple[float, ...], size: int, interpolation: str = "bilinear"
) -> Array:
    """Return a face turned, scaled and shifted so that its five points are on the template.

    `points` are x and y of each; the template for 112 is scaled to `size`, the height and width of
    the result. Pixels outside the image are black. `interpolation` is `bilinear`, `bicubic` or
    `nearest`.
    """
    pillow = import_extra("PIL.Image", "faces")
    forth = similarity(np.reshape(points, (-1, 2)), TEMPLATE * (size / TEMPLATE_SIZE))
    # Interpolation looks at neighbours only; a face much too large is averaged down before.
    step = max(1, int(1 / np.sqrt(max(abs(np.linalg.det(forth[:, :2])), 1e-12))))
    step = min(step, *image.size)
    if step > 1:
        image = image.reduce(step)
    back = np.linalg.pinv(forth[:, :2])
    shift = -back @ forth[:, 2]
    # Points count from the centre of the first pixel, Pillow from its corner.
    shift = shift + 0.5 - back @ np.array([0.5, 0.5])
    rows = np.column_stack([back, shift]) / step
    method = pillow.Resampling[interpolation.upper()]
    way = pillow.Transform.AFFINE
    return np.asarray(image.transform((size, size), way, tuple(rows.ravel()), method))


def similarity(source: Array, target: Array) -> Array:
    """Return the rotation, scale and shift, (2, 3), that bring (k, 2) points nearest to others.

    Minimise Σ‖c R x + t − y‖² over c ≥ 0, R a rotation without reflection, t; the result is c R,
    then t, with c = 0 where all x are one point. Umeyama, "Least-Squares Estimation of
    Transformation Parameters Between Two Point Patterns" (IEEE PAMI, 1991).
    """
    middle_x, middle_y = source.mean(axis=0), target.mean(axis=0)
    x, y = source - middle_x, target - middle_y
    u, s, vt = np.linalg.svd(y.T @ x)
    sign = np.array([1.0, 1.0 if np.linalg.det(u @ vt) > 0 else -1.0])
    spread = (x**2).sum()
    scale = (s * sign).sum() / spread if spread > 0 else 0.0
    turn = scale * (u * sign) @ vt
    return np.column_stack([turn, middle_y - turn @ middle_x])
