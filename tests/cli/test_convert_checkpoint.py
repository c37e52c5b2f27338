"""`intertwine convert-checkpoint`, what it says before TensorFlow is needed."""

from __future__ import annotations

import pytest

from intertwine.encoders.checkpoints import convert as module

SUMMARY = {"out": "o", "architecture": "resnet-50", "tensors": 328, "weights": 7, "source": {}}


@pytest.fixture
def called(monkeypatch):
    """Return what the library was called with."""
    calls = []

    def run(*arguments, **options):
        calls.append((arguments, options))
        return SUMMARY

    monkeypatch.setattr(module, "convert_checkpoint", run)
    return calls


def test_summary(intertwine, called, tmp_path):
    """The summary is a line for people, or one JSON object."""
    command = ("convert-checkpoint", "a.ckpt", tmp_path / "o.safetensors", "--arch", "resnet-50")
    done = intertwine(*command)
    assert done.out == f"{tmp_path / 'o.safetensors'}: resnet-50, 7 weights\n"
    assert intertwine(*command, "--json").json() == SUMMARY
    assert called[0][1] == {"arch": "resnet-50"}


def test_no_checkpoint(intertwine, tmp_path):
    """A checkpoint that is not there is a user's error."""
    out = tmp_path / "o.safetensors"
    done = intertwine("convert-checkpoint", tmp_path / "a.ckpt", out, "--arch", "resnet-50")
    assert "no checkpoint, expected a.ckpt.index" in done.error()
    assert not out.exists()


def test_architecture_is_needed(intertwine):
    """Without an architecture the usage is wrong."""
    assert intertwine("convert-checkpoint", "a.ckpt", "o.safetensors").code == 2
