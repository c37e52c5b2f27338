"""Presets: files looked up by name, and what is said of those that are missing."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.encoders.lazy import lazy

from intertwine.encoders.faces.arcface import ARCHITECTURES, architecture
from intertwine.encoders.presets.presets import PRESETS, list_encoders, preset_uris, weights_folder
from intertwine.encoders.registry import SCHEMES, open_encoder, parse_uri
from intertwine.errors import InputError
from intertwine.storage.files import write_tensors

InceptionResnetV1 = lazy("intertwine.encoders.faces.nets.inception_resnet_v1", "InceptionResnetV1")

ARCFACE = ("arcface_mobilenet_v2.safetensors", "arcface_resnet_50.safetensors")
FACENET = ("20180408-102900-casia-webface.pt", "20180402-114759-vggface2.pt")


@pytest.fixture
def weights(tmp_path):
    """Return a folder with a file under each name that the preset looks for."""
    for name in (*ARCFACE, *FACENET):
        (tmp_path / name).write_bytes(b"weights")
    return tmp_path


class TestFolder:
    def test_said(self, tmp_path, monkeypatch):
        """A folder that is said goes before the environment's."""
        monkeypatch.setenv("INTERTWINE_WEIGHTS", "elsewhere")
        assert weights_folder(tmp_path) == tmp_path

    def test_environment(self, tmp_path, monkeypatch):
        """The environment variable goes before the cache folder."""
        monkeypatch.setenv("INTERTWINE_WEIGHTS", str(tmp_path))
        assert weights_folder() == tmp_path

    def test_home(self, tmp_path, monkeypatch):
        """A tilde is the user's folder, in what is said and in the environment."""
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("INTERTWINE_WEIGHTS", "~/b")
        assert weights_folder("~/a") == tmp_path / "a"
        assert weights_folder() == tmp_path / "b"

    def test_cache(self, tmp_path, monkeypatch):
        """Otherwise it is in the user's cache folder."""
        monkeypatch.delenv("INTERTWINE_WEIGHTS", raising=False)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        assert weights_folder() == tmp_path / "intertwine" / "weights"
        monkeypatch.delenv("XDG_CACHE_HOME")
        assert weights_folder() == Path.home() / ".cache" / "intertwine" / "weights"


class TestUris:
    def test_paper_faces(self, weights):
        """The paper's four networks, named as in it, with the crop that each reads."""
        uris = [parse_uri(uri) for uri in preset_uris("paper-faces", weights)]
        assert [uri.name for uri in uris] == ["Model-IC", "Model-IV", "Model-MM", "Model-RM"]
        assert [uri.options["face"] for uri in uris] == ["box:32", "box:32", "arcface", "arcface"]
        assert [uri.options.get("arch") for uri in uris] == [None, None, *ARCHITECTURES]

    def test_missing(self, weights):
        """A missing file is named with the folder and where it comes from."""
        (weights / ARCFACE[0]).unlink()
        with pytest.raises(InputError) as caught:
            preset_uris("paper-faces", weights)
        message = str(caught.value)
        assert f"{weights} lacks {ARCFACE[0]} (Model-MM) from the arcface-tf2 project" in message
        assert "intertwine convert-checkpoint CHECKPOINT arcface_mobilenet_v2" in message
        assert "Model-RM" not in message

    def test_altered(self, weights):
        """A file under a name whose SHA-256 is known must be that file."""
        (weights / "facenet_inception_resnet_v1_casia.safetensors").write_bytes(b"other")
        with pytest.raises(
            InputError, match=r"its SHA-256 is [0-9a-f]{16}…, expected 760ccb2ab0f6"
        ):
            preset_uris("paper-faces", weights)

    def test_unknown(self):
        """An unknown preset is answered with the known ones."""
        with pytest.raises(
            InputError, match="got preset 'faces', expected one of paper-imagenet, "
        ):
            preset_uris("faces")

    def test_published_files(self, weights, shared_data):
        """The published FaceNet files are the ones that the preset means."""
        for path in (shared_data / "models").glob("facenet_*.safetensors"):
            (weights / path.name).symlink_to(path)
        uris = preset_uris("paper-faces", weights)
        assert [parse_uri(uri).path.endswith("safetensors") for uri in uris] == [True] * 4
        encoder = open_encoder(uris[0], threads=1)
        assert (encoder.name, encoder.dim) == ("Model-IC", 512)


class TestStatedFacts:
    @pytest.mark.quick("mobilenet-v2")
    @pytest.mark.parametrize("arch", ARCHITECTURES)
    def test_arcface(self, arch, tmp_path):
        """Dimension, input and parameters that the preset states are the network's."""
        (stated,) = (e for e in PRESETS["paper-faces"] if e.options.get("arch") == arch)
        state = architecture(arch)().state_dict()
        file = tmp_path / "net.safetensors"
        tensors = {name: value.numpy() for name, value in state.items()}
        write_tensors(file, tensors, kind="weights", header={"architecture": arch})
        encoder = open_encoder(stated.uri(file), threads=1)
        assert (encoder.dim, encoder.preprocessing.size) == (stated.dim, stated.input_size)
        assert encoder.parameters == stated.parameters

    @pytest.mark.slow
    def test_facenet(self):
        """The parameters that the preset states for FaceNet are the network's."""
        counted = sum(weight.numel() for weight in InceptionResnetV1().parameters())
        stated = {e.parameters for e in PRESETS["paper-faces"] if e.scheme == "facenet"}
        assert stated == {counted}


class TestListing:
    def test_schemes(self):
        """Every scheme is listed with every option it takes."""
        listed = {facts["scheme"]: facts for facts in list_encoders()["schemes"]}
        assert set(listed) == set(SCHEMES)
        assert listed["arcface"]["options"] == SCHEMES["arcface"].known

    def test_presets(self, weights):
        """Every network of a preset is listed with the file that is there."""
        preset = list_encoders(weights)["presets"][1]
        assert [Path(facts["found"]).name for facts in preset["encoders"]] == [*FACENET, *ARCFACE]
        (weights / ARCFACE[1]).unlink()
        last = list_encoders(weights)["presets"][1]["encoders"][-1]
        assert last["found"] is None
        assert last["uri"].startswith(
            f"arcface:{weights / ARCFACE[1]}?name=Model-RM&arch=resnet-50"
        )
