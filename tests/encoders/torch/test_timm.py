"""Networks of timm: their heads, over the families; weights, preprocessing, options."""

from __future__ import annotations

import numpy as np
import pytest
from tests.encoders.lazy import lazy

from intertwine.encoders.registry import open_encoder
from intertwine.encoders.torch.encoder import preprocessing
from intertwine.encoders.torch.timm import defaults
from intertwine.encoders.uri import EncoderUri
from intertwine.errors import FileFormatError, InputError
from intertwine.inputs.images.decode import decode, resize

torch = lazy("torch")
save_file = lazy("safetensors.torch", "save_file")

SMALL = "timm:resnet10t?crop=64"
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)


def opened(name, **options):
    """Open a network of timm, untrained unless told otherwise."""
    options = {"weights": "random:0"} | options
    return open_encoder(f"timm:{name}?" + "&".join(f"{k}={v}" for k, v in options.items()))


@pytest.fixture(scope="module")
def encoder():
    """Return a small network."""
    return opened("resnet10t", crop=64)


@pytest.fixture(scope="module", params=["net.safetensors", "net.pth"])
def file(request, encoder, tmp_path_factory):
    """Return a file of that network's weights, of either kind."""
    path = tmp_path_factory.mktemp("weights") / request.param
    state = encoder.run.module.state_dict()
    save_file(state, path) if path.suffix == ".safetensors" else torch.save(state, path)
    return path


class TestOpen:
    def test_as_timm_makes_it(self, encoder):
        """Untrained weights are those that timm starts with, under the same seed."""
        import timm

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            module = timm.create_model("resnet10t").eval()
        batch = torch.from_numpy(encoder.preprocessing.apply(IMAGES))
        with torch.no_grad():
            want = module(batch).numpy()
        got = encoder.head.logits(encoder.encode(IMAGES))
        np.testing.assert_allclose(got, want, atol=1e-5 * np.abs(want).max())

    def test_facts(self, encoder):
        """Name, size and number of weights are the network's."""
        count = sum(weight.numel() for weight in encoder.run.module.parameters())
        assert (encoder.name, encoder.dim, encoder.split) == ("resnet10t", 512, "fc")
        assert (encoder.parameters, encoder.head.n_classes) == (count, 1000)

    @pytest.mark.slow
    def test_repeatable(self, encoder):
        """Two extractions are equal to the bit, and no part is in training mode."""
        again = opened("resnet10t", crop=64)
        first = encoder.encode(IMAGES)
        np.testing.assert_array_equal(first, encoder.encode(IMAGES))
        np.testing.assert_array_equal(first, again.encode(IMAGES))
        assert encoder.fingerprint == again.fingerprint
        assert not any(part.training for part in encoder.run.module.modules())

    def test_seeds(self, encoder):
        """Another seed gives other weights, and torch's own random numbers go on as before."""
        before = torch.get_rng_state()
        other = opened("resnet10t", crop=64, weights="random:1")
        assert torch.equal(torch.get_rng_state(), before)
        assert other.weights_sha256 != encoder.weights_sha256
        assert not np.allclose(other.encode(IMAGES), encoder.encode(IMAGES))

    def test_bfloat16(self, encoder):
        """Products in bfloat16 give nearly the same features, of a space of their own."""
        low = open_encoder(f"{SMALL}&weights=random:0", precision="bfloat16")
        first, second = encoder.encode(IMAGES), low.encode(IMAGES)
        norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
        assert ((first * second).sum(1) / norms > 0.99).all()
        assert not np.array_equal(first, second)
        assert low.fingerprint != encoder.fingerprint

    def test_name_with_tag(self):
        """A tag chooses the preprocessing, and stands in the name of the space."""
        encoder = opened("resnet10t.c3_in1k", crop=64)
        assert encoder.name == "resnet10t.c3_in1k"

    @pytest.mark.slow
    def test_layer(self, encoder):
        """Features may be those of any layer, pooled, or the output itself, without a head."""
        batch = torch.from_numpy(encoder.preprocessing.apply(IMAGES))
        with torch.no_grad():
            maps = encoder.run.module.forward_features(batch)
            logits = encoder.run.module(batch).numpy()
        layer = opened("resnet10t", crop=64, layer="layer4", pool="mean", head="none")
        output = opened("resnet10t", crop=64, head="none")
        assert (layer.head, output.head, layer.split) == (None, None, "layer4")
        np.testing.assert_allclose(layer.encode(IMAGES), maps.mean((2, 3)).numpy(), atol=1e-5)
        np.testing.assert_allclose(output.encode(IMAGES), logits, atol=1e-5)
        assert len({e.fingerprint for e in (encoder, layer, output)}) == 3

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("resnet5O", r"timm has no network resnet5O; did you mean .*resnet50"),
            (
                "resnet50.a9_in1k",
                r"has no network resnet50\.a9_in1k; did you mean .*resnet50\.a3_in1k",
            ),
        ],
    )
    def test_unknown(self, name, message):
        """A wrong name or tag is answered with those like it."""
        with pytest.raises(InputError, match=message):
            opened(name)


class TestWeights:
    @pytest.mark.quick("net.pth")
    def test_file(self, encoder, file):
        """Weights from a file give the features of the network they were saved from."""
        read = opened("resnet10t", crop=64, weights=file)
        np.testing.assert_array_equal(read.encode(IMAGES), encoder.encode(IMAGES))
        np.testing.assert_array_equal(read.head.weight, encoder.head.weight)
        assert read.fingerprint == encoder.fingerprint
        assert "state_dict" not in read.run.module.pretrained_cfg

    @pytest.mark.slow
    def test_converted(self, encoder, tmp_path):
        """A training checkpoint is unpacked as timm does."""
        state = {f"module.{key}": v for key, v in encoder.run.module.state_dict().items()}
        torch.save({"state_dict": state, "epoch": 3}, tmp_path / "last.pth.tar")
        read = opened("resnet10t", crop=64, weights=tmp_path / "last.pth.tar")
        np.testing.assert_array_equal(read.encode(IMAGES), encoder.encode(IMAGES))

    @pytest.mark.slow
    def test_filtered(self, tmp_path):
        """What timm does to a family's own files is done: positions follow the input's size."""
        module = opened("vit_tiny_patch16_224", crop=64).run.module
        torch.save({"model": module.state_dict()}, tmp_path / "vit.pth")
        read = opened("vit_tiny_patch16_224", crop=32, weights=tmp_path / "vit.pth")
        assert read.run.module.pos_embed.shape == (1, 1 + 4, 192)
        torch.testing.assert_close(read.run.module.head.weight, module.head.weight)

    def test_other_network(self, file):
        """Weights of another network are refused, naming some that are missing and unknown."""
        with pytest.raises(FileFormatError, match=r'Missing key.*"stem\..*Unexpected.*"conv1\.'):
            opened("regnetx_002", weights=file)

    def test_lenient_family(self, tmp_path):
        """A missing weight is found where timm itself does not ask for it."""
        state = dict(opened("dla46_c", crop=64).run.module.state_dict())
        del state["level2.root.conv.weight"]
        torch.save(state, tmp_path / "dla.pth")
        with pytest.raises(FileFormatError, match=r"1 weight missing \(level2\.root\.conv"):
            opened("dla46_c", weights=tmp_path / "dla.pth")

    def test_pickle(self, tmp_path):
        """A file that holds more than tensors is refused, and not run."""
        torch.save(torch.nn.Linear(2, 2), tmp_path / "whole.pth")
        with pytest.raises(FileFormatError, match=r"cannot be read as weights .* is unpickled"):
            opened("resnet10t", weights=tmp_path / "whole.pth")

    @pytest.mark.parametrize(
        ("name", "file"),
        [
            ("resnet10t", r"model\.safetensors of the hub repository timm/resnet10t\.c3_in1k"),
            ("gcvit_xxtiny", r"gcvit_xxtiny_224_nvidia-d1d86009\.pth"),
        ],
    )
    def test_offline(self, name, file, monkeypatch):
        """Without a connection the error names the file to fetch elsewhere, and no address."""
        import urllib.request

        from huggingface_hub import constants

        def refuse(*_, **__):
            raise OSError

        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        monkeypatch.setattr("torch.hub.download_url_to_file", refuse)
        monkeypatch.setattr(urllib.request, "urlopen", refuse)
        with pytest.raises(InputError, match=f"weights, {file}, .* give weights=FILE") as caught:
            open_encoder(f"timm:{name}")
        assert "://" not in str(caught.value)

    def test_unpublished(self):
        """A network without published weights says what can be given instead."""
        with pytest.raises(InputError, match=r"publishes no weights of it; give weights=FILE or"):
            open_encoder("timm:darknet17")


class TestPreprocessing:
    @pytest.mark.parametrize(
        "name",
        [
            "resnet50.tv_in1k",
            "convnext_tiny.fb_in1k",
            "nasnetalarge.tf_in1k",
            "vit_base_patch16_siglip_224.webli",
            "tf_efficientnetv2_b3.in21k_ft_in1k",
        ],
    )
    def test_as_timm(self, name, shared_data):
        """A real, square image is, within one grey level, what timm's own pipeline makes of it."""
        import timm

        config = timm.models.get_pretrained_cfg(name)
        facts = timm.data.resolve_data_config({}, pretrained_cfg=config.to_dict())
        image = decode(shared_data / "imagenet-val" / "ILSVRC2012_val_00000001.webp")
        want = timm.data.create_transform(**facts)(image).numpy()
        uri = EncoderUri("timm", name)
        made = preprocessing(uri, defaults=defaults(config, config.input_size[1:]))
        pixels = resize(image, made.size, made.shorter, made.interpolation)
        error = np.abs(made.apply(pixels[None])[0] - want) * np.reshape(made.std, (3, 1, 1)) * 255
        assert error.max() < 1.01
        assert error.mean() < 0.01

    def test_border(self):
        """Where timm puts a border around an image, the whole image is squashed instead."""
        import timm

        config = timm.models.get_pretrained_cfg("deepseek_vit_412m_enc")
        assert defaults(config, (546, 546))["resize"] == "squash"

    @pytest.mark.slow
    def test_own_options(self):
        """Options of the URI go before what timm says, and crop takes its share of the image."""
        default = opened("resnet10t", crop=64).preprocessing
        assert (default.size, default.shorter, default.interpolation) == ((64, 64), 73, "bicubic")
        asked = opened(
            "resnet10t", crop="64x32", resize="squash", mean="0.5", interpolation="bilinear"
        )
        got = asked.preprocessing
        assert (got.size, got.resize, got.interpolation) == ((64, 32), "squash", "bilinear")
        assert (got.mean, got.std) == ((0.5,) * 3, default.std)

    @pytest.mark.parametrize("name", ["nest_tiny?weights=random:0", "nest_tiny_jx?name=published"])
    def test_impossible_size(self, name):
        """A size that the network cannot be made for is told with timm's reason."""
        with pytest.raises(InputError, match=r"timm cannot make it with crop=100 \(First level"):
            open_encoder(f"timm:{name}&crop=100")

    def test_impossible_size_of_file(self, tmp_path):
        """So it is where weights come from a file, which is not to blame."""
        torch.save({}, tmp_path / "net.pth")
        with pytest.raises(InputError, match=r"timm cannot make it with crop=100 \(First level"):
            opened("nest_tiny", crop=100, weights=tmp_path / "net.pth")

    def test_unfit_size(self):
        """A size that the network cannot be run on is told with torch's reason."""
        with pytest.raises(InputError, match=r"timm:gcvit_xxtiny: torch cannot run it \(shape"):
            opened("gcvit_xxtiny", crop=100)
