"""`intertwine encoders`, and the preset of `intertwine extract`."""

from __future__ import annotations

from intertwine.encoders.presets.presets import PRESETS
from intertwine.encoders.registry import SCHEMES


def test_json(intertwine, tmp_path):
    """Every scheme and every network of every preset is in the object."""
    facts = intertwine("encoders", "--weights", tmp_path, "--json").json()
    assert [scheme["scheme"] for scheme in facts["schemes"]] == list(SCHEMES)
    for preset in facts["presets"]:
        names = [encoder["name"] for encoder in preset["encoders"]]
        assert names == [encoder.name for encoder in PRESETS[preset["preset"]]]
    assert facts["weights"] == str(tmp_path)


def test_text(intertwine, tmp_path):
    """People read schemes with options, and networks with size, licence and missing files."""
    (tmp_path / "arcface_resnet_50.safetensors").touch()
    done = intertwine("encoders", "--weights", tmp_path)
    assert done.code == 0
    assert "facenet:FILE  a FaceNet InceptionResnetV1" in done.out
    assert "keras:NAME|FILE  a network of keras.applications" in done.out
    assert "Model-RM: ResNet-50 (version 1), ArcFace, MS-Celeb-1M; 512-d, input 112×112" in done.out
    assert "40,317,440 parameters, licence MIT" in done.out
    assert "arcface_resnet_50.safetensors: found" in done.out
    assert "arcface_mobilenet_v2.safetensors: missing" in done.out
    assert "inception_v3.tf_in1k.safetensors: not there, will be fetched" in done.out
    assert "PNASNet-Large.untrained: PNASNet-Large with random weights, the control" in done.out


def test_preset_without_weights(intertwine, tmp_path):
    """A preset whose files are missing is one line that names them, and nothing is written."""
    out = tmp_path / "set"
    command = ("extract", tmp_path, "--preset", "paper-faces", "--weights", tmp_path)
    line = intertwine(*command, "--out", out).error()
    assert f"preset paper-faces: {tmp_path} lacks facenet_inception_resnet_v1_casia" in line
    assert not out.exists()


def test_no_encoder(intertwine, tmp_path):
    """Extraction without an encoder or preset is wrong usage."""
    done = intertwine("extract", tmp_path, "--out", tmp_path / "set")
    assert done.code == 2
    assert "give --encoder URI or --preset NAME" in done.err


def test_preset_and_encoder(intertwine, tmp_path, monkeypatch):
    """The networks of a preset come before those that are named one by one."""
    from intertwine.passes.extract import extract

    monkeypatch.setattr(
        "intertwine.encoders.presets.presets.preset_uris", lambda *_: ["onnx:a.onnx"]
    )
    seen = []

    def run(source, uris, out, **options):
        del source, out, options
        seen.extend(uris)
        return {"rows": 0}

    monkeypatch.setattr(extract, "extract", run)
    done = intertwine(
        "extract",
        tmp_path,
        "--preset",
        "p",
        "--encoder",
        "onnx:b.onnx",
        "--out",
        tmp_path,
        "--json",
    )
    assert done.json() == {"rows": 0}
    assert seen == ["onnx:a.onnx", "onnx:b.onnx"]
