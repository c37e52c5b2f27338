"""From image files to RGB pixels of the size that a network reads."""

from __future__ import annotations

import os
from functools import cache
from io import IOBase
from stat import S_ISDIR, S_ISREG
from typing import TYPE_CHECKING

import numpy as np

from intertwine.errors import InputError
from intertwine.extras import import_extra
from intertwine.wording import one_line

if TYPE_CHECKING:
    from typing import BinaryIO

    from PIL.Image import Image

    from intertwine.numerics.arrays import Array

# Pillow's own limit: a quarter of a gigabyte of RGB.
MAX_PIXELS = 89_478_485
# All that is ever opened, by content and not by name: Pillow would start Ghostscript for
# EPS, and knows dozens of formats more.
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
_TOO_LARGE = f"has more than {MAX_PIXELS} pixels"
# EXIF's orientation, how each of its values is undone, and where a decoded image keeps it.
_ORIENTATION_TAG, _TURN = 0x0112, "intertwine orientation"
_TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}


class UnreadableImageError(InputError):
    """One image that cannot be read; the others may be.

    `reason` has the same words for the same bytes wherever they are; `advice` is what to do.
    """

    def __init__(self, name: str, reason: str, advice: str = "repair it or leave it out") -> None:
        super().__init__(f"{name}: {reason}; {advice}")
        self.name, self.reason = name, reason


def decode(source: str | os.PathLike[str] | BinaryIO, *, name: str | None = None) -> Image:
    """Read an image file, or a binary file of its bytes, as a Pillow image in mode RGB.

    Transparency is dropped, of an animation the first frame is read, and the orientation that a
    camera recorded is not applied, as in the usual ImageNet pipelines (`upright` applies it). The
    content of the file, not its name, decides which of `FORMATS` it is; no other is opened. `name`
    is used in errors, the path when omitted. UnreadableImageError when it is missing, cut short or
    no image, has more than 89 million pixels, or more than eight bits a channel.
    """
    pillow = import_extra("PIL.Image", "onnx")
    name = name or str(source)
    try:
        _check_kind(source, name)
        with pillow.open(source, "r", _formats()) as image:
            _check(image, name)
            return _to_rgb(image)
    except (pillow.DecompressionBombError, pillow.DecompressionBombWarning) as error:
        raise UnreadableImageError(name, _TOO_LARGE, "make it smaller or leave it out") from error
    except (InputError, MemoryError):
        raise
    except Exception as error:
        # Pillow's readers raise errors of any kind over broken bytes.
        known = not isinstance(error, pillow.UnidentifiedImageError)
        reason = (
            (getattr(error, "strerror", None) or one_line(error)) if known else "of no known format"
        )
        advice = "repair it or leave it out" if known else f"expected {', '.join(FORMATS)}"
        raise UnreadableImageError(name, f"not a readable image ({reason})", advice) from error


@cache
def _formats() -> tuple[str, ...]:
    """Return the formats that this Pillow reads."""
    pillow = import_extra("PIL.Image", "onnx")
    pillow.init()
    return tuple(name for name in FORMATS if name in pillow.OPEN)


def _check_kind(source: str | os.PathLike[str] | BinaryIO, name: str) -> None:
    """Raise UnreadableImageError for a pipe or a device, which may never end."""
    if isinstance(source, IOBase):
        return
    try:
        mode = os.stat(source).st_mode  # type: ignore[arg-type]  # noqa: PTH116
    except OSError:
        # Pillow reports what is wrong with it.
        return
    if not S_ISREG(mode) and not S_ISDIR(mode):
        raise UnreadableImageError(name, "not a readable image (no regular file)")


def _check(image: Image, name: str) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise UnreadableImageError(name, _TOO_LARGE, "make it smaller or leave it out")
    if image.mode[0] in "IF":
        raise UnreadableImageError(
            name, f"holds {image.mode} pixels, expected eight bits a channel", "convert it"
        )


def _to_rgb(image: Image) -> Image:
    # A palette with transparency must pass through RGBA, or Pillow warns.
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    rgb = image.convert("RGB")
    # Asked after the pixels are read: some formats are turned then, and lose the tag.
    rgb.info[_TURN] = _orientation(image)
    return rgb


def _orientation(image: Image) -> int:
    """Return the orientation that a camera recorded, 1 (upright) to 8; 1 where there is none."""
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # noqa: BLE001 - damaged tags are no reason to refuse the pixels
        return 1
    return value if value in range(1, 9) else 1


def is_turned(image: Image) -> bool:
    """Return whether a decoded image is not upright, by what its camera recorded."""
    return bool(image.info.get(_TURN, 1) != 1)


def upright(image: Image) -> Image:
    """Return a decoded image turned as its camera recorded."""
    if not is_turned(image):
        return image
    transpose = import_extra("PIL.Image", "onnx").Transpose
    return image.transpose(transpose[_TURNS[image.info[_TURN]]])


def resize(
    image: Image,
    size: tuple[int, int],
    shorter: int | None = None,
    interpolation: str = "bilinear",
) -> Array:
    """Return a Pillow RGB image's pixels at a size (h, w), (h, w, 3) uint8.

    The shorter side is resized to `shorter` and the centre cut out; when None the whole image is
    squashed into the size. `interpolation` is `bilinear`, `bicubic` or `lanczos`, all antialiased,
    or `nearest`.
    """
    method = import_extra("PIL.Image", "onnx").Resampling[interpolation.upper()]
    height, width = size
    if shorter is None:
        return np.asarray(image.resize((width, height), method))
    # Rounded as the usual pipelines do, or the cut is a pixel off theirs.
    across, down = (shorter * side // min(image.size) for side in image.size)
    left, top = round((across - width) / 2), round((down - height) / 2)
    # Resampling only the part that stays bounds the memory for a very long image.
    x, y = image.width / across, image.height / down
    part = (left * x, top * y, (left + width) * x, (top + height) * y)
    return np.asarray(image.resize((width, height), method, box=part))
