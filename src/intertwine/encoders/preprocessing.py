"""From a decoded image to a network's input."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from intertwine.errors import InputError
from intertwine.storage.untrusted import is_count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from intertwine.encoders.uri import EncoderUri
    from intertwine.numerics.arrays import Array

OPTIONS = ("channels", "crop", "face", "interpolation", "mean", "resize", "scale", "std")
INTERPOLATIONS = ("bilinear", "bicubic", "lanczos", "nearest")
# Published centre-crop figures resize the shorter side to 8/7 of the crop: 256 for 224.
CENTRE_FRACTION = 7 / 8
# A network's input; no image that is read has more either.
MAX_PIXELS = 89_478_485
# Numbers of a batch that a network fixes: 4 GiB in float32.
MAX_NUMBERS = 1 << 30
# FaceNet's: in all, at the size of the network's input.
FACE_MARGIN = 32

# Size, shorter side, interpolation, face: what makes a network's pixels out of an image.
ResizeKey = tuple[tuple[int, int], int | None, str, str | None]


@dataclass(frozen=True)
class Preprocessing:
    """From a decoded image to a network's input: value = (pixel · scale − mean) / std.

    Parameters
    ----------
    size
        Input height and width in pixels.
    resize
        `squash`: the whole image, its aspect ratio changed. `centre`: the shorter side resized,
        the centre cut out.
    shorter
        Length of the shorter side before the cut; None with `squash`.
    interpolation
        `bilinear`, `bicubic`, `lanczos` (all antialiased) or `nearest`.
    channels
        `rgb` or `bgr`: the order that the network reads.
    mean, std
        One number a channel, in the network's order.
    scale
        Factor of the pixels 0 … 255.
    layout
        `nchw` or `nhwc`.
    dtype
        `float32`, `float16` or `float64`, or `uint8` for pixels as they are.
    face
        Which crop of the image's face takes the place of `resize`: `box:MARGIN`, its box and a
        margin; `arcface`, turned and scaled so that five points lie on a template. None: no face.
    """

    size: tuple[int, int]
    resize: str = "squash"
    shorter: int | None = None
    interpolation: str = "bilinear"
    channels: str = "rgb"
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    scale: float = 1.0
    layout: str = "nhwc"
    dtype: str = "float32"
    face: str | None = None
    reads: ClassVar[str] = "images"

    @classmethod
    def from_uri(
        cls, uri: EncoderUri, *, fixed: tuple[int, int] | None, layout: str, dtype: str
    ) -> Preprocessing:
        """Return the preprocessing that a URI's options ask for, of a network's input.

        `fixed` is the input size that the network fixes, if it does; else the URI must.
        """
        where = uri.where
        size = uri.size("crop") or fixed
        if size is None:
            raise InputError(f"{where}: leaves its input size open; give it with crop=224")
        if fixed is not None and size != fixed:
            raise InputError(
                f"{where}: got crop={size[0]}x{size[1]}, but the network's input is "
                f"{fixed[0]}x{fixed[1]}; leave crop out"
            )
        if size[0] * size[1] > MAX_PIXELS:
            raise InputError(
                f"{where}: reads images of {size[0]}x{size[1]} pixels, expected at most "
                f"{MAX_PIXELS} in all"
            )
        mode, shorter = _resize_mode(uri, size)
        std = uri.numbers("std", count=3) or cls.std
        if 0 in std:
            raise InputError(f"{where}: got std={uri.options['std']}, expected no zero")
        return cls(
            size=size,
            resize=mode,
            shorter=shorter,
            interpolation=uri.choice("interpolation", INTERPOLATIONS),
            channels=uri.choice("channels", ("rgb", "bgr")),
            mean=uri.numbers("mean", count=3) or cls.mean,
            std=std,
            scale=(uri.numbers("scale", count=1) or (cls.scale,))[0],
            layout=layout,
            dtype=dtype,
            face=_face(uri, size),
        )

    @property
    def resize_key(self) -> ResizeKey:
        """What two encoders must share to share a resized image or a crop."""
        return self.size, self.shorter, self.interpolation, self.face

    def to_json(self) -> dict[str, Any]:
        """Return the preprocessing as JSON-ready values; `face` and `orientation` only where one is cut."""
        # Left out otherwise, so that the fingerprints of encoders without it stay.
        facts = {key: v for key, v in asdict(self).items() if key != "face" or v is not None}
        if self.face is not None:
            facts["orientation"] = "upright"
        return {key: list(v) if isinstance(v, tuple) else v for key, v in facts.items()}

    def noise(self, n: int) -> Array:
        """Return (n, h, w, 3) images of noise, always the same, to try a network on."""
        return np.random.default_rng(0).integers(0, 256, (n, *self.size, 3), np.uint8)

    def apply(self, images: Array) -> Array:
        """Return a network's input.

        Parameters
        ----------
        images
            (n, h, w, 3) uint8, RGB, resized already.

        Returns
        -------
        batch
            (n, 3, h, w) or (n, h, w, 3) of `dtype`.

        Raises
        ------
        InputError
            When the images have another size or type.
        """
        expected = (*self.size, 3)
        if images.shape[1:] != expected or images.dtype != np.uint8:
            raise InputError(
                f"got images {images.dtype} {images.shape}, "
                f"expected uint8 (n, {', '.join(map(str, expected))})"
            )
        step = -1 if self.channels == "bgr" else 1
        if self.dtype == "uint8":
            axes = (0, 3, 1, 2) if self.layout == "nchw" else (0, 1, 2, 3)
            return np.ascontiguousarray(images[..., ::step].transpose(axes))
        # A pixel has 256 values, so what becomes of each is looked up.
        values = self._values()
        if self.layout == "nhwc":
            channels = zip(values, range(3)[::step], strict=True)
            return np.stack([table.take(images[..., at]) for table, at in channels], axis=-1)
        batch: Array = np.empty((len(images), 3, *self.size), self.dtype)
        for image, planes in zip(images, batch, strict=True):
            for table, plane, at in zip(values, planes, range(3)[::step], strict=True):
                table.take(image[..., at], out=plane, mode="clip")
        return batch

    def _values(self) -> Array:
        """Return (3, 256): what each value of a pixel becomes, by channel of the network's."""
        mean, std = (np.asarray(value, np.float32)[:, None] for value in (self.mean, self.std))
        scaled: Array = np.arange(256, dtype=np.float32) * np.float32(self.scale)
        return ((scaled - mean) / std).astype(self.dtype)


def require_batch(count: int, image: Array, where: str) -> None:
    """Raise where a network reads so many images at a time that a batch of such an image is too large.

    Raises
    ------
    InputError
        With the number of images.
    """
    if count * image.size > MAX_NUMBERS:
        axes = "x".join(map(str, image.shape))
        raise InputError(
            f"{where}: reads {count} images of {axes} numbers at a time, expected at most {MAX_NUMBERS} "
            "numbers in all; is the file damaged?"
        )


def filled_up(batch: Array, count: int, where: str) -> Array:
    """Return a batch with its last image repeated until it is a multiple of some images."""
    require_batch(count, batch[0], where)
    lacking = -len(batch) % count
    return np.concatenate([batch, np.repeat(batch[-1:], lacking, axis=0)]) if lacking else batch


@dataclass(frozen=True)
class TextPreprocessing:
    """From a text to a network's input: a prompt before it, and where it is cut.

    Parameters
    ----------
    prompt
        What is put before each text.
    max_tokens
        Tokens kept of each; the network's own number when None.
    """

    prompt: str = ""
    max_tokens: int | None = None
    reads: ClassVar[str] = "texts"

    def to_json(self) -> dict[str, Any]:
        """Return the preprocessing as JSON-ready values."""
        return asdict(self)

    def apply(self, texts: Sequence[str]) -> list[str]:
        """Return the texts with the prompt before them.

        Raises
        ------
        InputError
            When they are not all texts.
        """
        wrong = next((value for value in texts if not isinstance(value, str)), None)
        if wrong is not None:
            raise InputError(f"got {type(wrong).__name__}, expected texts")
        return [self.prompt + text for text in texts]


def _resize_mode(uri: EncoderUri, size: tuple[int, int]) -> tuple[str, int | None]:
    """Return the option `resize` as mode and length of the shorter side."""
    mode, _, side = uri.options.get("resize", "squash").partition(":")
    if mode not in {"squash", "centre"} or (side and mode == "squash"):
        raise InputError(
            f"{uri.where}: got resize={uri.options['resize']}, "
            "expected squash, centre, or centre:PIXELS of the shorter side"
        )
    if side and (not is_count(side) or int(side) < max(size)):
        raise InputError(
            f"{uri.where}: got resize=centre:{side}, expected at least {max(size)} pixels"
        )
    if mode == "squash":
        return mode, None
    return mode, int(side) if side else round(max(size) / CENTRE_FRACTION)


def _face(uri: EncoderUri, size: tuple[int, int]) -> str | None:
    """Return the option `face` with its margin, or None for `none`."""
    value = uri.options.get("face", "none")
    if value == "none":
        return None
    kind, colon, margin = value.partition(":")
    good = margin.isdecimal() and len(margin) < 6 and kind == "box" if colon else True
    if kind not in {"box", "arcface"} or not good:
        raise InputError(
            f"{uri.where}: got face={value}, expected none, arcface, or box:PIXELS of the margin"
        )
    if "resize" in uri.options:
        raise InputError(
            f"{uri.where}: got resize={uri.options['resize']} and face={value}, "
            "but a face is cropped in its own way; leave resize out or give face=none"
        )
    return _box(uri, size, margin) if kind == "box" else _arcface(uri, size)


def _box(uri: EncoderUri, size: tuple[int, int], margin: str) -> str:
    pixels = int(margin or FACE_MARGIN)
    if pixels >= min(size):
        raise InputError(
            f"{uri.where}: got face=box:{pixels}, expected a margin below the input's "
            f"{min(size)} pixels"
        )
    return f"box:{pixels}"


def _arcface(uri: EncoderUri, size: tuple[int, int]) -> str:
    if size[0] != size[1]:
        raise InputError(
            f"{uri.where}: got face=arcface for an input of {size[0]}x{size[1]} pixels, "
            "but its template is a square; use face=box"
        )
    if uri.options.get("interpolation") == "lanczos":
        raise InputError(
            f"{uri.where}: got interpolation=lanczos with face=arcface, which turns the image; "
            "expected bilinear, bicubic or nearest"
        )
    return "arcface"
