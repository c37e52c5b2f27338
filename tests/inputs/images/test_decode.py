"""From files to pixels."""

from __future__ import annotations

import os
import sys
from io import BytesIO

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image, ImageOps

from intertwine.errors import InputError
from intertwine.inputs.images import decode as module
from intertwine.inputs.images.decode import UnreadableImageError, decode, is_turned, resize, upright

PIXELS = np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype=np.uint8)


def test_rgb(tmp_path):
    """An RGB file gives its own pixels."""
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    np.testing.assert_array_equal(np.asarray(decode(tmp_path / "a.png")), PIXELS)


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "RGBA", "CMYK"])
def test_other_modes(tmp_path, mode):
    """Grey, palette, transparent and print images become RGB."""
    suffix = "tif" if mode == "CMYK" else "png"
    Image.fromarray(PIXELS).convert(mode).save(tmp_path / f"a.{suffix}")
    image = decode(tmp_path / f"a.{suffix}")
    assert (image.mode, image.size) == ("RGB", (12, 9))


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
@pytest.mark.parametrize("value", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
def test_orientation(tmp_path, value, suffix):
    """An image is turned upright as Pillow does it when that is asked for, and only then."""
    path, exif = tmp_path / f"a.{suffix}", Image.Exif()
    exif[0x0112] = value
    Image.fromarray(PIXELS).save(path, exif=exif)
    image = decode(path)
    with Image.open(path) as opened:
        np.testing.assert_array_equal(np.asarray(image), np.asarray(opened.convert("RGB")))
    with Image.open(path) as opened:
        wanted = np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))
    np.testing.assert_array_equal(np.asarray(upright(image)), wanted)
    # TIFF is turned by Pillow itself.
    assert is_turned(image) is (2 <= value <= 8 and suffix != "tif")


def test_damaged_orientation(tmp_path):
    """Pixels are read though the orientation beside them is broken."""
    Image.fromarray(PIXELS).save(tmp_path / "a.png", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert upright(decode(tmp_path / "a.png")).size == (12, 9)


def test_transparent_palette(tmp_path):
    """A palette with transparency warns of nothing."""
    path = tmp_path / "a.png"
    image = Image.fromarray(PIXELS).quantize(8)
    image.save(path, transparency=bytes([0, 128, 255, 255, 255, 255, 255, 255]))
    assert decode(path).mode == "RGB"


def test_deep_pixels(tmp_path):
    """Sixteen bits a channel are refused, since Pillow would clip them."""
    Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 200).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png: holds I;16 pixels, expected eight bits"):
        decode(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "gif", "tif", "bmp"])
def test_truncated(tmp_path, suffix):
    """A file cut short is refused by name, whatever its format."""
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.tile(PIXELS, (9, 9, 1))).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=rf"a\.{suffix}: not a readable image"):
        decode(path)


@pytest.mark.parametrize("data", [b"", b"text", b"\x89PNG\r\n\x1a\n" + bytes(40)])
def test_no_image(tmp_path, data):
    """A file of other bytes is refused by name."""
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(InputError, match=r"a\.png: not a readable image"):
        decode(tmp_path / "a.png")


def test_bytes():
    """An image may be read from memory, and is then called what it is said to be."""
    file = BytesIO()
    Image.fromarray(PIXELS).save(file, "PNG")
    np.testing.assert_array_equal(np.asarray(decode(BytesIO(file.getvalue()))), PIXELS)
    with pytest.raises(InputError, match=r"shard\.tar: a\.png: not a readable image"):
        decode(BytesIO(file.getvalue()[:60]), name="shard.tar: a.png")


def test_reason(tmp_path):
    """What is wrong with an image is said in the same words wherever it lies."""
    reasons = []
    for source in (tmp_path / "a.png", BytesIO(b"text"), BytesIO(b"text")):
        if source == tmp_path / "a.png":
            source.write_bytes(b"text")
        with pytest.raises(UnreadableImageError) as caught:
            decode(source, name="x")
        reasons.append(caught.value.reason)
    assert set(reasons) == {"not a readable image (of no known format)"}


@pytest.mark.parametrize("error", [KeyError("tag"), TypeError("odd"), IndexError("far")], ids=repr)
def test_any_failure(tmp_path, monkeypatch, error):
    """Whatever Pillow raises over broken bytes is an unreadable image."""

    def fail(*_):
        raise error

    monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(UnreadableImageError, match=r"a\.png: not a readable image"):
        decode(tmp_path / "a.png")


def test_no_memory(tmp_path, monkeypatch):
    """Where memory runs out the image is not to blame."""

    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(MemoryError):
        decode(tmp_path / "a.png")


def test_absent(tmp_path):
    """A file that is gone is named."""
    with pytest.raises(InputError, match=r"a\.png: not a readable image \(No such file"):
        decode(tmp_path / "a.png")


@pytest.mark.parametrize("sides", [(10, 11), (20, 11)])
def test_bomb(tmp_path, monkeypatch, sides):
    """A small file that claims many pixels is refused before it is decoded."""
    Image.new("RGB", sides).save(tmp_path / "a.png")
    for limits in (module, "MAX_PIXELS"), (Image, "MAX_IMAGE_PIXELS"):
        with monkeypatch.context() as patch:
            patch.setattr(*limits, 100)
            with pytest.raises(InputError, match="has more than 89478485 pixels"):
                decode(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("suffix", "kind"),
    [
        ("avif", "AVIF"),
        ("jfif", "JPEG"),
        ("jpe", "JPEG"),
        ("mpo", "MPO"),
        ("apng", "PNG"),
        ("pbm", "PPM"),
        ("webp", "WEBP"),
    ],
)
def test_formats(tmp_path, suffix, kind):
    """Every format that is listed is read as Pillow reads it."""
    image = Image.fromarray(PIXELS).convert("1" if suffix == "pbm" else "RGB")
    image.save(tmp_path / f"a.{suffix}", kind)
    want = np.asarray(Image.open(tmp_path / f"a.{suffix}").convert("RGB"))
    np.testing.assert_array_equal(np.asarray(decode(tmp_path / f"a.{suffix}")), want)


def as_format(kind):
    """Return an image in a format of Pillow's, as bytes."""
    file = BytesIO()
    Image.fromarray(PIXELS).save(file, kind)
    return file.getvalue()


FITS = b"SIMPLE  =                    T".ljust(2880)
OTHERS = {
    "eps": as_format("EPS"),
    "jpeg2000": as_format("JPEG2000"),
    "ico": as_format("ICO"),
    "icns": as_format("ICNS"),
    "dds": as_format("DDS"),
    "pcx": as_format("PCX"),
    "sgi": as_format("SGI"),
    "tga": as_format("TGA"),
    "blp": b"BLP2" + bytes(200),
    "psd": b"8BPS\0\1" + bytes(6) + b"\0\3\0\0\0\4\0\0\0\4\0\x08\0\3" + bytes(200),
    "fits": FITS,
}


@pytest.fixture(scope="module")
def started():
    """Return a list to which whatever starts a process is added, while it is watched."""
    begins = ("subprocess.Popen", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.system")
    seen, watched = [], [True]
    sys.addaudithook(
        lambda event, facts: seen.append(facts) if watched and event in begins else None
    )
    yield seen
    watched.clear()


@pytest.fixture
def no_process(started):
    """Fail when anything starts a process."""
    started.clear()
    yield
    assert not started


@pytest.mark.usefixtures("no_process")
@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("as_bytes", [False, True])
def test_other_formats(tmp_path, monkeypatch, kind, as_bytes):
    """A format that is not promised is not opened, whatever it is called, and starts no program."""
    # Where Ghostscript is not there, Pillow asks for it no further.
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", sys.executable)
    (tmp_path / "a.png").write_bytes(OTHERS[kind])
    source = BytesIO(OTHERS[kind]) if as_bytes else tmp_path / "a.png"
    with pytest.raises(UnreadableImageError, match=r"of no known format.*expected AVIF, BMP, GIF"):
        decode(source, name="a.png")


def test_pipe(tmp_path):
    """A pipe, which may never end, is refused by name; so is a device."""
    os.mkfifo(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to("/dev/zero")
    for name in ("a.png", "b.png"):
        with pytest.raises(UnreadableImageError, match=rf"{name[0]}\.png: .*no regular file"):
            decode(tmp_path / name)


class TestResize:
    def test_same_size(self):
        """A resize to the same size changes nothing."""
        np.testing.assert_array_equal(resize(Image.fromarray(PIXELS), (9, 12)), PIXELS)

    def test_squash(self):
        """The whole image counts: halving both sides averages about four pixels."""
        flat = np.full((8, 16, 3), 40, np.uint8)
        flat[:, 8:] = 200
        got = resize(Image.fromarray(flat), (4, 4))
        assert got.shape == (4, 4, 3)
        np.testing.assert_array_equal(got[:, [0, 3], 0], [[40, 200]] * 4)

    def test_centre(self):
        """The centre of the image, its shorter side resized, is cut out."""
        wide = np.zeros((8, 24, 3), np.uint8)
        wide[:, 8:16] = 255
        got = resize(Image.fromarray(wide), (4, 4), 4, "nearest")
        np.testing.assert_array_equal(got, np.full((4, 4, 3), 255))
        np.testing.assert_array_equal(resize(Image.fromarray(PIXELS), (7, 6), 9), PIXELS[1:8, 3:9])

    def test_centre_equals_resize_then_crop(self):
        """Resampling only the part that stays gives what resizing all and cutting gives."""
        image = Image.fromarray(np.tile(PIXELS, (4, 5, 1)))  # 36 x 60
        whole = image.resize((30, 18), Image.Resampling.BILINEAR).crop((9, 3, 21, 15))
        got = resize(image, (12, 12), 18).astype(int)
        assert np.abs(got - np.asarray(whole)).max() <= 1

    def test_interpolation(self):
        """Each way of interpolating is its own."""
        image = Image.fromarray(PIXELS)
        ways = ["bilinear", "bicubic", "lanczos", "nearest"]
        results = [resize(image, (5, 7), None, way) for way in ways]
        for way, got in zip(ways, results, strict=True):
            want = image.resize((7, 5), Image.Resampling[way.upper()])
            np.testing.assert_array_equal(got, np.asarray(want))
        assert len({result.tobytes() for result in results}) == 4

    def test_very_long_image(self):
        """A very long image costs no more memory than the part that stays."""
        got = resize(Image.new("RGB", (60000, 1), (9, 8, 7)), (224, 224), 256)
        np.testing.assert_array_equal(got, np.broadcast_to([9, 8, 7], (224, 224, 3)))
