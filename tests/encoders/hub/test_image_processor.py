"""What image processors do, read from their settings and compared with what they do."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from tests.encoders.lazy import lazy

from intertwine.encoders.hub.image_processor import check_processor, processor_options
from intertwine.encoders.torch.encoder import preprocessing
from intertwine.encoders.uri import EncoderUri
from intertwine.errors import InputError
from intertwine.inputs.images.decode import decode, resize

transformers = lazy("transformers")

SQUARE = {"height": 64, "width": 64}
SETTINGS = {
    "squash": ("ViTImageProcessorPil", {"size": SQUARE}),
    "cut": ("CLIPImageProcessorPil", {"size": {"shortest_edge": 72}, "crop_size": SQUARE}),
    "fraction": ("ConvNextImageProcessorPil", {"size": {"shortest_edge": 56}}),
    "whole": ("ConvNextImageProcessorPil", {"size": {"shortest_edge": 384}}),
    "bgr": ("MobileViTImageProcessorPil", {"size": {"shortest_edge": 72}, "crop_size": SQUARE}),
    "twice": ("EfficientNetImageProcessorPil", {"size": SQUARE}),
    "offset": ("EfficientNetImageProcessorPil", {"size": SQUARE, "rescale_offset": True}),
    "raw": ("ViTImageProcessorPil", {"size": SQUARE, "do_rescale": False, "do_normalize": False}),
    "one": ("ViTImageProcessorPil", {"size": SQUARE, "image_mean": 0.4, "image_std": 0.2}),
    "nearest": ("ViTImageProcessorPil", {"size": SQUARE, "resample": 0}),
    "lanczos": ("ViTImageProcessorPil", {"size": SQUARE, "resample": 1}),
    "bicubic": ("ViTImageProcessorPil", {"size": SQUARE, "resample": 3}),
}


def made(name, **settings):
    """Return an image processor."""
    return getattr(transformers, name)(**settings)


def prepared(processor, **options):
    """Return the preprocessing of a processor under options."""
    uri = EncoderUri("hf", "n", options)
    return preprocessing(uri, defaults=processor_options(processor, options, "encoder n"))


@pytest.fixture(params=["square", "wide", "high"])
def photograph(request, shared_data):
    """Return a real image; where it is cut, its longer side is resized to whole pixels."""
    folder = shared_data / "imagenet-val"
    image = decode(folder / (folder / "labels.txt").read_text().split()[0])
    sides = {"square": image.size, "wide": (225, 150), "high": (150, 225)}
    return image.crop((0, 0, *sides[request.param]))


@pytest.mark.slow
@pytest.mark.parametrize("settings", SETTINGS)
def test_photograph(settings, photograph):
    """A real image comes out within one grey level of what the processor makes of it."""
    name, options = SETTINGS[settings]
    processor = made(name, **options)
    got = prepared(processor)
    size, shorter, interpolation, _ = got.resize_key
    ours = got.apply(resize(photograph, size, shorter, interpolation)[np.newaxis])
    theirs = processor(photograph, return_tensors="np")["pixel_values"]
    grey = np.asarray(got.std)[:, np.newaxis, np.newaxis] / got.scale
    assert (np.abs(ours - theirs) * grey).max() <= 1.01
    check_processor(processor, got, "encoder n")


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"channels": "bgr"}, id="channels"),
        pytest.param({"mean": "0.45"}, id="mean"),
        pytest.param({"std": "0.3"}, id="std"),
        pytest.param({"resize": "centre:80"}, id="resize"),
        pytest.param({"resize": "squash"}, id="squash"),
        pytest.param({"crop": "60"}, id="crop"),
        pytest.param({"scale": "1"}, id="scale"),
    ],
)
def test_difference_is_found(options):
    """Every difference that a pixel shows is found."""
    processor = made(*SETTINGS["cut"][:1], **SETTINGS["cut"][1])
    check_processor(processor, prepared(processor), "encoder n")
    with pytest.raises(InputError, match="encoder n: its image processor does more than its size"):
        check_processor(processor, prepared(processor, **options), "encoder n")


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"size": {"height": 72, "width": 72}, "crop_size": SQUARE}, id="squash, cut"),
        pytest.param({"size": {"shortest_edge": 64}, "do_center_crop": False}, id="no cut"),
        pytest.param({"size": {"shortest_edge": 60}, "crop_size": SQUARE}, id="cut is larger"),
        pytest.param({"size": {"max_height": 64, "max_width": 64}}, id="no more than"),
        pytest.param({"do_resize": False}, id="no resize"),
    ],
)
def test_geometry_is_refused(settings):
    """A way of resizing that has no name here asks for one that has, and yields to it."""
    processor = made("CLIPImageProcessorPil", **settings)
    with pytest.raises(InputError, match=r"neither squash nor centre here; give crop= and resize="):
        prepared(processor)
    with pytest.raises(InputError, match="neither squash nor centre"):
        prepared(processor, crop="64")
    assert prepared(processor, crop="64", resize="squash").mean == pytest.approx(
        processor.image_mean
    )
    assert prepared(processor, crop="64", face="box:8").face == "box:8"


def test_resample_is_refused():
    """A way of interpolating that has no name here asks for one that has, and yields to it."""
    processor = made("ViTImageProcessorPil", size=SQUARE, resample=Image.Resampling.HAMMING)
    with pytest.raises(InputError, match=r"resample=5, expected one of 0 \(nearest\), .*interpol"):
        prepared(processor)
    assert prepared(processor, interpolation="bicubic").interpolation == "bicubic"


def test_no_settings():
    """A processor without a size, as other libraries bring, is refused."""
    with pytest.raises(InputError, match="resizes to no size and cuts out nothing"):
        prepared(SimpleNamespace())
