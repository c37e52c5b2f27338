"""Encoder schemes: what is known, and what is said of the unknown."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from intertwine.encoders.registry import SCHEMES, open_encoder, parse_uri, with_options
from intertwine.errors import InputError, MissingExtraError


@pytest.fixture
def network(tmp_path, write_network):
    """Return the path of a tiny ONNX file."""
    return write_network(tmp_path / "tiny.onnx")


def test_open(network):
    """A URI opens an encoder whose space is named after the file."""
    encoder = open_encoder(f"onnx:{network}", threads=1)
    assert (encoder.name, encoder.dim) == ("tiny", 6)
    assert encoder.space.fingerprint == encoder.fingerprint


def test_uri_opens_from_anywhere(network, monkeypatch, tmp_path):
    """An encoder's own URI opens the same encoder from another working folder."""
    monkeypatch.chdir(network.parent)
    first = open_encoder("onnx:tiny.onnx?mean=3")
    monkeypatch.chdir(tmp_path.parent)
    assert open_encoder(first.uri).fingerprint == first.fingerprint


def test_unknown_scheme():
    """An unknown scheme is refused with the known ones."""
    with pytest.raises(
        InputError, match="unknown scheme 'caffe', expected one of timm, torchvision"
    ):
        open_encoder("caffe:net.caffemodel")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_unknown_option(scheme, network):
    """No option is ignored: an unknown one is refused with the known ones."""
    first = "max_tokens, name" if scheme == "st" else ".*channels, crop, "
    with pytest.raises(InputError, match=f"option 'maen'; {scheme} knows {first}"):
        open_encoder(f"{scheme}:{network}?maen=3")


def test_no_file(tmp_path):
    """A file that is not there is named."""
    with pytest.raises(InputError, match=r"no file .*absent\.onnx"):
        open_encoder(f"onnx:{tmp_path / 'absent.onnx'}")


def test_impossible_name(tmp_path, write_network):
    """A file whose stem cannot name a space asks for a name."""
    network = write_network(tmp_path / "a--b.onnx")
    with pytest.raises(InputError, match="choose one with name=NAME"):
        open_encoder(f"onnx:{network}")
    assert open_encoder(f"onnx:{network}?name=ab").name == "ab"


@pytest.mark.parametrize("value", ["1.5", "x"])
def test_reported_accuracy(network, value):
    """A reported accuracy is a share between 0 and 1."""
    assert open_encoder(f"onnx:{network}?reported_top1=0.687").reported_top1 == 0.687
    with pytest.raises(InputError, match="reported_top1"):
        open_encoder(f"onnx:{network}?reported_top1={value}")


def test_with_options():
    """Options are set or replaced, others stay."""
    got = with_options("onnx:n.onnx?mean=1&name=a", weights="random:0", name="b")
    assert got == "onnx:n.onnx?mean=1&name=b&weights=random:0"


@pytest.mark.parametrize(
    ("scheme", "module"),
    [
        ("onnx", "onnxruntime"),
        ("tflite", "ai_edge_litert.interpreter"),
        ("arcface", "torch"),
        ("facenet", "torch"),
        ("mobilefacenet", "torch"),
        ("python", "torch"),
        ("hf", "transformers"),
        ("st", "sentence_transformers"),
        ("inception-v2", "torch"),
    ],
)
def test_missing_extra(scheme, module, network, monkeypatch):
    """Without the library, the error is the pip line of the scheme's own extra."""
    monkeypatch.setitem(sys.modules, module, None)
    extra = SCHEMES[scheme].extra
    query = "?arch=resnet-50" if scheme == "arcface" else ""
    with pytest.raises(MissingExtraError, match=rf"pip install 'intertwine\[{extra}\]'"):
        open_encoder(f"{scheme}:{network}{query}")


def test_extras():
    """Every scheme's extra is one that the package declares."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert {scheme.extra for scheme in SCHEMES.values()} <= set(project["optional-dependencies"])


def test_nothing_heavy_is_imported(network):
    """Reading a URI imports no network library."""
    code = (
        "import sys; from intertwine.encoders.registry import parse_uri; "
        f"parse_uri('onnx:{network}'); "
        "print(sorted({'onnx', 'onnxruntime', 'ai_edge_litert', 'PIL', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_parse_makes_head_path_absolute(network, monkeypatch):
    """A head in another file is found from any folder; the word none stays a word."""
    monkeypatch.chdir(network.parent)
    assert parse_uri("tflite:tiny.onnx?head=h.tflite").options["head"] == str(
        network.parent / "h.tflite"
    )
    assert parse_uri("tflite:tiny.onnx?head=none").options["head"] == "none"


@pytest.mark.parametrize(
    ("text", "path", "options"),
    [
        ("onnx:~/net.onnx", "net.onnx", {}),
        ("tflite:~/net.onnx?head=~/net.onnx", "net.onnx", {"head": "net.onnx"}),
        ("timm:resnet18?weights=~/net.onnx", None, {"weights": "net.onnx"}),
        ("keras:~/net.onnx?weights=~/net.onnx", "net.onnx", {"weights": "net.onnx"}),
        ("hf:~/folder", "folder", {}),
        ("st:~/folder", "folder", {}),
        ("tfhub:~/folder", "folder", {}),
        ("python:~/net.onnx", "net.onnx", {}),
        ("facenet:~/net.onnx", "net.onnx", {}),
    ],
)
def test_home(network, monkeypatch, tmp_path, text, path, options):
    """A tilde is the user's folder in every scheme, in paths of options too."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "net.onnx").write_bytes(Path(network).read_bytes())
    (tmp_path / "folder").mkdir()
    uri = parse_uri(text)
    assert uri.path == ("resnet18" if path is None else str(tmp_path / path))
    assert dict(uri.options) == {key: str(tmp_path / value) for key, value in options.items()}


def test_home_not_there(monkeypatch, tmp_path):
    """A file that is not there under a tilde is not there."""
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(InputError, match="no file"):
        parse_uri("onnx:~/net.onnx")
