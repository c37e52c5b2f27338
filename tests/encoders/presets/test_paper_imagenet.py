"""The paper's ten ImageNet networks: each is built, and is what the preset says."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from intertwine.encoders.presets.paper_imagenet import PAPER_IMAGENET
from intertwine.encoders.presets.presets import list_encoders, preset_uris
from intertwine.encoders.registry import open_encoder, parse_uri, with_options
from intertwine.errors import InputError

# Dimension, crop, parameters in millions, reported and measured top-1, as the paper prints them.
PAPER = {
    "Inception-v1": (1024, 331, 5, 69.8, 71.1),
    "Inception-v2": (1024, 331, 11, 73.9, 73.9),
    "MobileNet-v2-1.4-224": (1792, 224, 7, 74.9, 74.6),
    "ResNet-v1-152": (2048, 331, 60, 76.8, 78.8),
    "ResNet-v2-152": (2048, 331, 60, 77.8, 78.7),
    "Inception-v3": (2048, 331, 24, 78.0, 78.9),
    "Inception-v4": (1536, 331, 43, 80.1, 80.4),
    "Inception-ResNet-v2": (1536, 331, 56, 80.4, 81.2),
    "NASNet-Large": (4032, 331, 89, 82.7, 82.7),
    "PNASNet-Large": (4320, 331, 86, 82.9, 82.9),
}
# Where the paper's rounded figure is not the architecture's own number.
OWN_MILLIONS = {"Inception-v1": 6.6, "MobileNet-v2-1.4-224": 6.1}
BY_NAME = {encoder.name: encoder for encoder in PAPER_IMAGENET}


def opened(name):
    """Open a network of the preset with random weights."""
    encoder = BY_NAME[name]
    uri = encoder.uri("random" if encoder.needs_file else None)
    return open_encoder(with_options(uri, weights="random:0"))


# Small ones of two schemes; the others are slow.
SOME = ("Inception-v2", "MobileNet-v2-1.4-224")


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in SOME else pytest.mark.slow) for name in PAPER],
)
def test_network(name):
    """Dimension, crop, head and parameters are the paper's, and the architecture's own number."""
    dim, crop, millions, reported, measured = PAPER[name]
    stated, encoder = BY_NAME[name], opened(name)
    assert (encoder.name, encoder.dim) == (name, dim)
    assert encoder.preprocessing.size == (crop, crop)
    assert encoder.head.weight.shape == (1000, dim)
    assert encoder.parameters == stated.parameters
    own = OWN_MILLIONS.get(name, millions)
    assert abs(encoder.parameters / 1e6 / own - 1) < 0.05
    assert encoder.reported_top1 == pytest.approx(reported / 100)
    assert encoder.paper_top1 == pytest.approx(measured / 100)
    assert (stated.dim, stated.input_size) == (dim, (crop, crop))
    image = np.random.default_rng(0).integers(0, 256, (1, crop, crop, 3), np.uint8)
    assert np.isfinite(encoder.encode(image)).all()
    del encoder
    gc.collect()


def test_order():
    """The preset holds the ten in the paper's order, and the untrained control after them."""
    names = [encoder.name for encoder in PAPER_IMAGENET]
    assert names == [*PAPER, "PNASNet-Large.untrained"]


def test_one_resize_for_all_but_mobilenet(tmp_path):
    """All but MobileNet read the same pixels, so an image is resized twice for eleven networks."""
    (tmp_path / "inception_v2.safetensors").write_bytes(b"weights")
    uris = [parse_uri(uri) for uri in preset_uris("paper-imagenet", tmp_path)]
    pixels = [tuple(uri.options[k] for k in ("crop", "resize", "interpolation")) for uri in uris]
    assert pixels.count(("331", "centre:378", "bilinear")) == 10
    assert pixels[2] == ("224", "centre:256", "bilinear")


def test_files(tmp_path):
    """A file in the weights folder is taken; without one the network's own library fetches it."""
    with pytest.raises(InputError, match=r"lacks inception_v2.safetensors \(Inception-v2\)"):
        preset_uris("paper-imagenet", tmp_path)
    for name in ("inception_v2.safetensors", "googlenet-1378be20.pth"):
        (tmp_path / name).write_bytes(b"weights")
    uris = [parse_uri(uri) for uri in preset_uris("paper-imagenet", tmp_path)]
    assert uris[0].options["weights"] == str(tmp_path / "googlenet-1378be20.pth")
    assert uris[1].path == str(tmp_path / "inception_v2.safetensors")
    assert "weights" not in uris[2].options
    assert uris[10].options["weights"] == "random:0"


def test_listing(tmp_path):
    """The list of encoders says for each whether it is found, fetched or missing."""
    (tmp_path / "googlenet-1378be20.pth").write_bytes(b"weights")
    listed = {e["name"]: e for e in list_encoders(tmp_path)["presets"][0]["encoders"]}
    assert listed["Inception-v1"]["found"] == str(tmp_path / "googlenet-1378be20.pth")
    assert not listed["Inception-v1"]["fetched"]
    assert (listed["Inception-v2"]["found"], listed["Inception-v2"]["fetched"]) == (None, False)
    assert (listed["Inception-v3"]["found"], listed["Inception-v3"]["fetched"]) == (None, True)
