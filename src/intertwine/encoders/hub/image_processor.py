"""What a transformers image processor does to an image, as the options of `Preprocessing`.

The options are read from the processor's settings, and then compared with what it does: it is given
a ramp, whose colours tell where every pixel came from, so a processor that does more than its
settings say is found out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from intertwine.encoders.preprocessing import Preprocessing
    from intertwine.numerics.arrays import Array

# Pillow's numbers.
INTERPOLATIONS = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}
# From this size on, processors with a `crop_pct` squash.
WHOLE_FROM = 384
# Of the ramp; its sides divide evenly whatever even length the shorter one gets.
HEIGHT, WIDTH = 320, 480
# Grey levels of 255: both sides round twice, and may cut one pixel apart.
TOLERANCE = 3.0
ADVICE = "give crop= and resize=squash or resize=centre:PIXELS"


def processor_options(processor: Any, given: Collection[str], where: str) -> dict[str, str]:
    """Return the settings of a transformers image processor as options of `Preprocessing`.

    Settings whose option is among `given`, those that the user sets, are not read. Settings that no
    option can express are an error that names the options to set.
    """
    flipped = getattr(processor, "do_flip_channel_order", False)
    options = {"channels": "bgr" if flipped else "rgb", **_values(processor)}
    if "interpolation" not in given:
        options["interpolation"] = _interpolation(processor, where)
    if "crop" not in given or not {"resize", "face"} & set(given):
        options |= _geometry(processor, where)
    return options


def _interpolation(processor: Any, where: str) -> str:
    resample = int(getattr(processor, "resample", None) or 0)
    if resample not in INTERPOLATIONS:
        raise InputError(
            f"{where}: its image processor has resample={resample}, expected one of "
            f"{', '.join(f'{n} ({word})' for n, word in INTERPOLATIONS.items())}; "
            "choose with interpolation="
        )
    return INTERPOLATIONS[resample]


def _geometry(processor: Any, where: str) -> dict[str, str]:
    """Return the options `crop` and `resize`."""
    size = _given(getattr(processor, "size", None))
    cut = getattr(processor, "do_center_crop", False)
    crop = _given(getattr(processor, "crop_size", None)) if cut else {}
    if getattr(processor, "do_resize", False):
        side = size.get("shortest_edge", 0)
        if set(size) == {"height", "width"} and crop in ({}, size):
            return {"crop": _pixels(size), "resize": "squash"}
        if set(size) == {"shortest_edge"} and getattr(processor, "crop_pct", None):
            return _fraction(side, crop or {"height": side, "width": side}, processor)
        if set(size) == {"shortest_edge"} and crop and max(crop.values()) <= side:
            return {"crop": _pixels(crop), "resize": f"centre:{side}"}
    raise InputError(
        f"{where}: its image processor resizes to {size or 'no size'} and cuts out "
        f"{crop or 'nothing'}, which is neither squash nor centre here; {ADVICE}"
    )


def _fraction(side: int, crop: Mapping[str, int], processor: Any) -> dict[str, str]:
    """Return the options of a processor whose `crop_pct` is the share that is cut out."""
    if side >= WHOLE_FROM:
        return {"crop": _pixels(crop), "resize": "squash"}
    return {"crop": _pixels(crop), "resize": f"centre:{int(side / processor.crop_pct)}"}


def _values(processor: Any) -> dict[str, str]:
    """Return the options `scale`, `mean` and `std`."""
    scale = processor.rescale_factor if getattr(processor, "do_rescale", False) else 1.0
    mean, std = np.zeros(3), np.ones(3)
    if getattr(processor, "do_normalize", False):
        mean, std = mean + processor.image_mean, std * processor.image_std
    if getattr(processor, "rescale_offset", False):
        mean = mean + 1
    if getattr(processor, "include_top", False):
        # EfficientNet's: divided by the deviation a second time.
        std = std * processor.image_std
    numbers = {"mean": mean, "std": std}
    return {
        "scale": repr(float(scale)),
        **{key: ",".join(repr(float(v)) for v in value) for key, value in numbers.items()},
    }


def _given(size: Any) -> dict[str, int]:
    """Return the entries of a size that are set."""
    return {key: int(value) for key, value in dict(size or {}).items() if value}


def _pixels(size: Mapping[str, int]) -> str:
    return f"{size['height']}x{size['width']}"


def check_processor(processor: Any, preprocessing: Preprocessing, where: str) -> None:
    """Raise where a preprocessing and the processor it was read from disagree on a ramp.

    They may differ by three grey levels of 255.
    """
    down, across = np.arange(HEIGHT) + 0.5, np.arange(WIDTH) + 0.5
    got = np.asarray(processor(_ramp(down, across), return_tensors="np")["pixel_values"])
    wanted = preprocessing.apply(_ramp(*_sources(preprocessing))[np.newaxis])
    if got.shape == wanted.shape:
        grey = np.abs(np.asarray(preprocessing.std) / preprocessing.scale)
        if (np.abs(got - wanted) * grey[:, np.newaxis, np.newaxis]).max() <= TOLERANCE:
            return
    raise InputError(
        f"{where}: its image processor does more than its size, crop and mean say; {ADVICE}, "
        "mean=, std= and scale="
    )


def _sources(preprocessing: Preprocessing) -> tuple[Array, Array]:
    """Return where, down and across the ramp, the pixels of a preprocessed image come from."""
    height, width = preprocessing.size
    down, across = np.arange(height) + 0.5, np.arange(width) + 0.5
    if preprocessing.shorter is None:
        return down * (HEIGHT / height), across * (WIDTH / width)
    factor = preprocessing.shorter / min(HEIGHT, WIDTH)
    top, left = (HEIGHT * factor - height) / 2, (WIDTH * factor - width) / 2
    return (down + top) / factor, (across + left) / factor


def _ramp(down: Array, across: Array) -> Array:
    """Return an image whose red and green are the place, and whose blue is constant."""
    image = np.full((len(down), len(across), 3), 64, np.uint8)
    image[..., 0] = np.rint(255 * across / WIDTH)
    image[..., 1] = np.rint(255 * down / HEIGHT)[:, np.newaxis]
    return image
