"""From image files to RGB pixels of the size a network reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from intertwine.errors import InputError
from intertwine.extras import import_extra

if TYPE_CHECKING:
    import os

    from PIL.Image import Image

    from intertwine.arrays import Array

# Pillow's own limit: a quarter of a gigabyte of RGB.
MAX_PIXELS = 89_478_485
_TOO_LARGE = f"has more than {MAX_PIXELS} pixels; make it smaller or leave it out"


def decode(path: str | os.PathLike[str]) -> Image:
    """Read an image file as RGB.

    Transparency is dropped, of an animation the first frame is taken, and the orientation a
    camera recorded is not applied, as in the usual ImageNet pipelines.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    image
        A Pillow image in mode RGB.

    Raises
    ------
    InputError
        When it cannot be read, is cut short, has more than 89 million pixels, or more than eight
        bits a channel.
    MissingExtraError
        When Pillow is not installed.
    """
    pillow = import_extra("PIL.Image", "onnx")
    try:
        with pillow.open(path) as image:
            _check(image, path)
            return _to_rgb(image)
    except (pillow.DecompressionBombError, pillow.DecompressionBombWarning) as error:
        raise InputError(f"{path}: {_TOO_LARGE}") from error
    except InputError:
        raise
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"{path}: not a readable image ({reason}); repair it or leave it out"
        ) from error


def _check(image: Image, path: str | os.PathLike[str]) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise InputError(f"{path}: {_TOO_LARGE}")
    if image.mode[0] in "IF":
        raise InputError(
            f"{path}: holds {image.mode} pixels, expected eight bits a channel; convert it"
        )


def _to_rgb(image: Image) -> Image:
    # A palette with transparency must pass through RGBA, or Pillow warns.
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert("RGB")


def resize(
    image: Image,
    size: tuple[int, int],
    shorter: int | None = None,
    interpolation: str = "bilinear",
) -> Array:
    """Return an image's pixels at a size, antialiased unless `nearest`.

    Parameters
    ----------
    image
        A Pillow image in mode RGB.
    size
        Height and width in pixels.
    shorter
        When given, the shorter side is resized to it and the centre cut out; otherwise the whole
        image is squashed into the size.
    interpolation
        `bilinear`, `bicubic`, `lanczos` or `nearest`.

    Returns
    -------
    pixels
        (h, w, 3) uint8, RGB.
    """
    method = import_extra("PIL.Image", "onnx").Resampling[interpolation.upper()]
    height, width = size
    if shorter is None:
        return np.asarray(image.resize((width, height), method))
    factor = shorter / min(image.size)
    across, down = (max(shorter, round(side * factor)) for side in image.size)
    left, top = (across - width) // 2, (down - height) // 2
    # Resampling only the part that stays bounds the memory for a very long image.
    x, y = image.width / across, image.height / down
    part = (left * x, top * y, (left + width) * x, (top + height) * y)
    return np.asarray(image.resize((width, height), method, box=part))
