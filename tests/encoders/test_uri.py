"""Encoder URIs: parsing, options, errors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intertwine.encoders.uri import EncoderUri
from intertwine.errors import InputError

KEYS = st.text("abcdefghijklmnop_", min_size=1, max_size=8)
VALUES = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=12)


class TestParse:
    def test_parts(self):
        """Scheme, path and options are cut at the first colon, the question mark and ampersands."""
        uri = EncoderUri.parse("onnx:C:/a b.onnx?mean=1,2,3&name=x")
        assert (uri.scheme, uri.path) == ("onnx", "C:/a b.onnx")
        assert dict(uri.options) == {"mean": "1,2,3", "name": "x"}

    def test_name(self):
        """The space's name is the stem of the file unless name says otherwise."""
        assert EncoderUri.parse("onnx:a/net.v2.onnx").name == "net.v2"
        assert EncoderUri.parse("onnx:a/net.onnx?name=b").name == "b"

    @pytest.mark.slow
    @given(st.dictionaries(KEYS, VALUES, max_size=4))
    def test_round_trip(self, options):
        """What str spells, parse reads back, whatever characters a value holds."""
        uri = EncoderUri("onnx", "net.onnx").replace(**options)
        assert EncoderUri.parse(str(uri)) == uri

    @pytest.mark.parametrize("text", ["", "net.onnx", "onnx:", ":net.onnx", "onnx:?a=b"])
    def test_no_uri(self, text):
        """A text without scheme or path is refused with the form expected."""
        with pytest.raises(InputError, match=r"expected SCHEME:PATH\?OPTION=VALUE"):
            EncoderUri.parse(text)

    @pytest.mark.parametrize("query", ["mean", "mean=", "=3", "a=1&&b=2"])
    def test_bad_option(self, query):
        """An option without key or value is refused."""
        with pytest.raises(InputError, match="expected OPTION=VALUE"):
            EncoderUri.parse(f"onnx:net.onnx?{query}")

    def test_repeated_option(self):
        """An option given twice is refused, never one of the two taken in silence."""
        with pytest.raises(InputError, match="option mean stands twice"):
            EncoderUri.parse("onnx:net.onnx?mean=1&mean=2")


class TestOptions:
    def test_numbers(self):
        """Numbers may be one or several, decimal or a fraction."""
        uri = EncoderUri.parse("onnx:n?mean=1,2.5,3e2&scale=1/255&std=2")
        assert uri.numbers("mean", count=3) == (1, 2.5, 300)
        assert uri.numbers("scale", count=1) == (1 / 255,)
        assert uri.numbers("std", count=3) == (2, 2, 2)
        assert uri.numbers("absent", count=3) is None

    @pytest.mark.parametrize("value", ["a", "1,2", "1/0", "nan", "inf", "1,,2"])
    def test_bad_numbers(self, value):
        """What is no number, or not as many as needed, is refused."""
        with pytest.raises(InputError, match="expected one number or 3 with commas"):
            EncoderUri.parse(f"onnx:n?mean={value}").numbers("mean", count=3)

    def test_size(self):
        """A size is one number for a square, or height x width."""
        assert EncoderUri.parse("onnx:n?crop=224").size("crop") == (224, 224)
        assert EncoderUri.parse("onnx:n?crop=160x96").size("crop") == (160, 96)
        assert EncoderUri.parse("onnx:n").size("crop") is None

    @pytest.mark.parametrize("value", ["0", "-3", "a", "1x2x3", "224x", "70000"])
    def test_bad_size(self, value):
        """A size that is not one or two positive integers is refused."""
        with pytest.raises(InputError, match="expected pixels such as 224"):
            EncoderUri.parse(f"onnx:n?crop={value}").size("crop")

    def test_choice(self):
        """A word is one of the choices; the first is the default."""
        uri = EncoderUri.parse("onnx:n?channels=bgr")
        assert uri.choice("channels", ("rgb", "bgr")) == "bgr"
        assert uri.choice("layout", ("nchw", "nhwc")) == "nchw"
        with pytest.raises(InputError, match="got channels=bgr, expected one of rgb, grey"):
            uri.choice("channels", ("rgb", "grey"))

    def test_absolute(self, monkeypatch, tmp_path):
        """Paths become absolute, the options that are paths too, and links keep their names."""
        monkeypatch.chdir(tmp_path)
        (tmp_path / "blob").touch()
        (tmp_path / "net.onnx").symlink_to(tmp_path / "blob")
        uri = EncoderUri.parse("onnx:../x/../net.onnx?head=h.tflite&name=n").absolute("head")
        assert uri.path == str(tmp_path.parent / "net.onnx")
        assert dict(uri.options) == {"head": str(tmp_path / "h.tflite"), "name": "n"}
