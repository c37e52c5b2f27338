"""From resized images to a network's input."""

from __future__ import annotations

import numpy as np
import pytest

from intertwine.encoders.preprocessing import Preprocessing, filled_up, require_batch
from intertwine.encoders.uri import EncoderUri
from intertwine.errors import InputError

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3), dtype=np.uint8)


def from_uri(query, *, fixed=None, dtype="float32"):
    """Return the preprocessing of a query string."""
    uri = EncoderUri.parse(f"onnx:net.onnx?{query}")
    return Preprocessing.from_uri(uri, fixed=fixed, layout="nchw", dtype=dtype)


class TestApply:
    def test_formula(self):
        """A value is (pixel · scale − mean) / std, channel by channel in the network's order."""
        query = "crop=4x5&mean=.1,.2,.3&std=2,4,8&scale=1/255&channels=bgr"
        got = from_uri(query).apply(IMAGES)
        assert got.shape == (2, 3, 4, 5)
        assert got.dtype == np.float32
        for place, (source, mean, std) in enumerate([(2, 0.1, 2), (1, 0.2, 4), (0, 0.3, 8)]):
            want = (IMAGES[..., source] / 255 - mean) / std
            np.testing.assert_allclose(got[:, place], want, atol=1e-6)

    def test_raw_pixels(self):
        """With dtype uint8 the pixels pass unchanged, in the order asked."""
        got = Preprocessing((4, 5), channels="bgr", dtype="uint8").apply(IMAGES)
        np.testing.assert_array_equal(got, IMAGES[..., ::-1])

    def test_default_is_pixels(self):
        """Without options a float network gets 0 … 255."""
        got = from_uri("", fixed=(4, 5)).apply(IMAGES)
        np.testing.assert_array_equal(got, IMAGES.transpose(0, 3, 1, 2))

    def test_float16(self):
        """A network of half precision gets half precision."""
        assert from_uri("", fixed=(4, 5), dtype="float16").apply(IMAGES).dtype == np.float16


class TestFromUri:
    def test_resize(self):
        """Squash is the default; centre takes 8/7 of the crop as shorter side, or what is said."""
        assert from_uri("crop=224").resize_key == ((224, 224), None, "bilinear", None)
        assert from_uri("crop=224&resize=centre").shorter == 256
        assert from_uri("crop=224&resize=centre:232").shorter == 232
        assert from_uri("crop=224&interpolation=bicubic").resize_key[2] == "bicubic"

    def test_face(self):
        """A face's crop is part of what encoders must share, its margin FaceNet's when not said."""
        assert from_uri("crop=160").face is None
        assert from_uri("crop=160&face=none").resize_key == from_uri("crop=160").resize_key
        assert from_uri("crop=160&face=box").face == "box:32"
        assert from_uri("crop=160&face=box:0").resize_key[3] == "box:0"
        assert from_uri("", fixed=(112, 112)).resize_key[3] is None
        assert from_uri("face=arcface", fixed=(112, 112)).resize_key[3] == "arcface"

    def test_hashable(self):
        """Equal preprocessing is one dictionary key, different preprocessing another."""
        same = {from_uri("crop=8&mean=1"), from_uri("crop=8&mean=1,1,1")}
        assert len(same) == 1
        assert from_uri("crop=8&mean=2") not in same

    @pytest.mark.parametrize(
        ("query", "fixed", "message"),
        [
            ("", None, "leaves its input size open; give it with crop=224"),
            ("crop=8", (4, 4), "got crop=8x8, but the network's input is 4x4"),
            ("crop=8&resize=pad", None, "got resize=pad, expected squash, centre"),
            ("crop=8&resize=squash:9", None, "got resize=squash:9, expected squash, centre"),
            ("crop=8&resize=centre:7", None, "expected at least 8 pixels"),
            ("crop=8&resize=centre:x", None, "expected at least 8 pixels"),
            ("crop=8&std=1,0,1", None, "got std=1,0,1, expected no zero"),
            ("crop=8&channels=grey", None, "expected one of rgb, bgr"),
            ("crop=8&interpolation=sinc", None, "expected one of bilinear, bicubic"),
            ("crop=8&face=oval", None, "got face=oval, expected none, arcface, or box:PIXELS"),
            ("crop=8&face=box:x", None, "got face=box:x, expected none"),
            ("crop=8&face=box:", None, "got face=box:, expected none"),
            ("crop=8&face=arcface:2", None, "got face=arcface:2, expected none"),
            ("crop=8&face=box:8", None, "got face=box:8, expected a margin below the input's 8"),
            ("crop=8&face=box:999999", None, "got face=box:999999, expected none"),
            ("crop=8&face=box:1&resize=centre", None, "got resize=centre and face=box:1"),
            ("crop=8x9&face=arcface", None, "input of 8x9 pixels, but its template is a square"),
            ("crop=8&face=arcface&interpolation=lanczos", None, "got interpolation=lanczos with"),
        ],
    )
    def test_errors(self, query, fixed, message):
        """Impossible values are refused with what is possible."""
        with pytest.raises(InputError, match=message):
            from_uri(query, fixed=fixed)


def test_json():
    """As JSON there is a face only where one is cropped, so older fingerprints stay."""
    plain = from_uri("crop=8").to_json()
    assert list(plain) == [
        "size", "resize", "shorter", "interpolation", "channels",
        "mean", "std", "scale", "layout", "dtype",
    ]  # fmt: skip
    assert from_uri("crop=8&face=box:1").to_json() == {
        **plain,
        "face": "box:1",
        "orientation": "upright",
    }


def test_too_large():
    """An input of more pixels than any image that is read has is refused before it is made."""
    uri = EncoderUri.parse("onnx:net.onnx")
    with pytest.raises(InputError, match="reads images of 100000x100000 pixels, expected at most"):
        Preprocessing.from_uri(uri, fixed=(100_000, 100_000), layout="nhwc", dtype="float32")


def test_filled_up():
    """A batch is filled up to a multiple by its last image, and one that is full stays as it is."""
    batch = np.arange(5)[:, None]
    np.testing.assert_array_equal(filled_up(batch, 4, "it")[:, 0], [0, 1, 2, 3, 4, 4, 4, 4])
    assert filled_up(batch, 5, "it") is batch


def test_a_batch_that_no_memory_holds_is_refused():
    """A file that fixes a batch of very many images is refused before one is filled up."""
    image = np.zeros((224, 224, 3), np.uint8)
    require_batch(4096, image, "it")
    with pytest.raises(InputError, match=r"^it: reads 268435457 images of 224x224x3 numbers"):
        require_batch(268_435_457, image, "it")
    with pytest.raises(InputError, match="expected at most 1073741824 numbers in all"):
        filled_up(image[None], 10**6, "it")
