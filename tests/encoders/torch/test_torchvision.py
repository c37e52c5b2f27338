"""Classifiers of torchvision: their heads, over the families; weights, preprocessing, options."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from tests.encoders.lazy import lazy

from intertwine.encoders.registry import open_encoder
from intertwine.encoders.torch.encoder import preprocessing
from intertwine.encoders.torch.torchvision import defaults
from intertwine.encoders.uri import EncoderUri
from intertwine.errors import FileFormatError, InputError
from intertwine.inputs.images.decode import decode, resize

torch = lazy("torch")
save_file = lazy("safetensors.torch", "save_file")
torchvision = lazy("torchvision")

# One a family, and the features that its head reads. A number after a colon is an input size below
# the network's own; the last dimension of a family is that of its paper.
NETWORKS = {
    "alexnet:64": 4096,
    "convnext_tiny:64": 768,
    "densenet121:64": 1024,
    "efficientnet_b0:64": 1280,
    "efficientnet_v2_s:64": 1280,
    "googlenet:64": 1024,
    "inception_v3:96": 2048,
    "maxvit_t": 512,
    "mnasnet0_5:64": 1280,
    "mobilenet_v2:64": 1280,
    "mobilenet_v3_large:64": 1280,
    "mobilenet_v3_small:64": 1024,
    "regnet_x_400mf:64": 400,
    "regnet_y_400mf:64": 440,
    "resnet18:64": 512,
    "resnext50_32x4d:64": 2048,
    "shufflenet_v2_x0_5:64": 1024,
    "swin_t:64": 768,
    "swin_v2_t:64": 768,
    "vgg11:64": 4096,
    "vgg11_bn:64": 4096,
    "wide_resnet50_2:64": 2048,
}
# One a kind of head; the others are slow.
SOME = {
    "convnext_tiny:64",
    "densenet121:64",
    "googlenet:64",
    "maxvit_t",
    "mobilenet_v3_small:64",
    "resnet18:64",
    "swin_t:64",
}
# Wider or deeper networks of the same families: other sizes of the same layers, minutes in all.
LARGER = [
    "convnext_base",
    "convnext_large",
    "convnext_small",
    "densenet161",
    "densenet169",
    "densenet201",
    "efficientnet_b1",
    "efficientnet_b2",
    "efficientnet_b3",
    "efficientnet_b4",
    "efficientnet_b5",
    "efficientnet_b6",
    "efficientnet_b7",
    "efficientnet_v2_l",
    "efficientnet_v2_m",
    "mnasnet0_75",
    "mnasnet1_0",
    "mnasnet1_3",
    "regnet_x_16gf",
    "regnet_x_1_6gf",
    "regnet_x_32gf",
    "regnet_x_3_2gf",
    "regnet_x_800mf",
    "regnet_x_8gf",
    "regnet_y_128gf",
    "regnet_y_16gf",
    "regnet_y_1_6gf",
    "regnet_y_32gf",
    "regnet_y_3_2gf",
    "regnet_y_800mf",
    "regnet_y_8gf",
    "resnet101",
    "resnet152",
    "resnet34",
    "resnet50",
    "resnext101_32x8d",
    "resnext101_64x4d",
    "shufflenet_v2_x1_0",
    "shufflenet_v2_x1_5",
    "shufflenet_v2_x2_0",
    "swin_b",
    "swin_s",
    "swin_v2_b",
    "swin_v2_s",
    "vgg13",
    "vgg13_bn",
    "vgg16",
    "vgg16_bn",
    "vgg19",
    "vgg19_bn",
    "vit_b_16",
    "vit_h_14",
    "vit_l_16",
    "vit_l_32",
    "wide_resnet101_2",
]
# A vision transformer has an untrained head of zeros, and SqueezeNets have no head.
VIT = "vit_b_32"
SQUEEZENETS = ["squeezenet1_0", "squeezenet1_1"]
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)


def opened(name, **options):
    """Open a network, untrained unless told otherwise, at the size that stands after a colon."""
    name, _, size = name.partition(":")
    options = {"weights": "random:0"} | ({"crop": size} if size else {}) | options
    return open_encoder(f"torchvision:{name}?" + "&".join(f"{k}={v}" for k, v in options.items()))


def own_logits(encoder, images):
    """Return what the encoder's network puts out when nothing watches or stops it."""
    module = encoder.run.module
    for part in module.modules():
        part._forward_pre_hooks.clear()
        part._forward_hooks.clear()
    with torch.inference_mode():
        return module(torch.from_numpy(encoder.preprocessing.apply(images))).numpy()


def check_head(encoder, dim):
    """Check that features are finite vectors, and their head's output the network's own."""
    images = np.random.default_rng(1).integers(0, 256, (2, *encoder.image_size, 3), dtype=np.uint8)
    features = encoder.encode(images)
    assert (features.shape, encoder.head.n_classes) == ((2, dim), 1000)
    assert np.isfinite(features).all()
    want, got = own_logits(encoder, images), encoder.head.logits(features)
    assert np.abs(want).max() > 0
    assert np.abs(got - want).max() <= 1e-4 * np.abs(want).max()


@pytest.mark.slow
def test_every_classifier():
    """No classifier of torchvision is left out."""
    names = [name.partition(":")[0] for name in NETWORKS]
    names += [*LARGER, VIT, *SQUEEZENETS]
    assert sorted(names) == sorted(torchvision.models.list_models(module=torchvision.models))


@pytest.mark.quick("mobilenet_v3_small:64-1024")
@pytest.mark.parametrize(
    ("name", "dim"),
    [
        pytest.param(name, dim, marks=() if name in SOME else pytest.mark.slow)
        for name, dim in NETWORKS.items()
    ],
)
def test_head(name, dim):
    """Features are finite vectors, and the head of them is the network's own output."""
    # Hooks make circles, which Python keeps for a while.
    gc.collect()
    check_head(opened(name), dim)


@pytest.mark.slow
def test_head_of_vit(tmp_path):
    """So it is for a vision transformer, whose untrained head of zeros would show nothing."""
    state = opened(f"{VIT}:64").run.module.state_dict()
    dim = state["heads.head.weight"].shape[1]
    state["heads.head.weight"].copy_(torch.randn(1000, dim))
    save_file(state, tmp_path / "vit.safetensors")
    check_head(opened(f"{VIT}:64", weights=tmp_path / "vit.safetensors"), dim)


@pytest.mark.parametrize("name", SQUEEZENETS)
def test_no_linear_head(name):
    """SqueezeNet, whose classifier ends in a ReLU, is refused with what to do instead."""
    with pytest.raises(InputError, match=rf"{name}: has no linear head: .* give head=none"):
        opened(f"{name}:64")
    encoder = opened("squeezenet1_1:64", layer="features", pool="mean", head="none")
    assert (encoder.dim, encoder.head, encoder.split) == (512, None, "features")


class TestOpen:
    def test_as_torchvision_makes_it(self):
        """Untrained weights are those that torchvision starts with, under the same seed."""
        import torchvision

        encoder = opened("mobilenet_v3_small:64")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            module = torchvision.models.mobilenet_v3_small().eval()
        with torch.no_grad():
            want = module(torch.from_numpy(encoder.preprocessing.apply(IMAGES))).numpy()
        got = encoder.head.logits(encoder.encode(IMAGES))
        np.testing.assert_allclose(got, want, atol=1e-5 * np.abs(want).max())

    @pytest.mark.slow
    def test_repeatable(self):
        """Two extractions are equal to the bit, and no part is in training mode."""
        encoder, again = opened("mobilenet_v2:64"), opened("mobilenet_v2:64")
        first = encoder.encode(IMAGES)
        np.testing.assert_array_equal(first, encoder.encode(IMAGES))
        np.testing.assert_array_equal(first, again.encode(IMAGES))
        assert encoder.fingerprint == again.fingerprint
        assert not any(part.training for part in encoder.run.module.modules())

    @pytest.mark.slow
    def test_seeds(self):
        """Another seed gives other weights, and torch's own random numbers go on as before."""
        before = torch.get_rng_state()
        first, other = (opened("resnet18:64", weights=f"random:{seed}") for seed in (0, 1))
        assert torch.equal(torch.get_rng_state(), before)
        assert first.weights_sha256 != other.weights_sha256
        assert not np.allclose(first.encode(IMAGES), other.encode(IMAGES))

    def test_unknown(self):
        """A wrong name, or a network that is no classifier, is answered with names like it."""
        with pytest.raises(InputError, match=r"has no network resnet19; did you mean .*resnet18"):
            opened("resnet19")
        with pytest.raises(InputError, match="has no network fcn_resnet50; did you mean"):
            opened("fcn_resnet50")

    @pytest.mark.parametrize(
        ("name", "crop", "message"),
        [
            ("vit_b_32", "64x32", "got crop=64x32, expected a square"),
            ("vit_b_32", "65", r"torchvision cannot make it with crop=65x65 \(Input shape"),
            ("alexnet", "16", "torch cannot run it"),
        ],
    )
    def test_impossible_size(self, name, crop, message):
        """A size that the network cannot be made for, or run on, is refused."""
        with pytest.raises(InputError, match=message):
            opened(name, crop=crop)


class TestWeights:
    @pytest.mark.quick("mnasnet0_5:64-safetensors")
    @pytest.mark.parametrize("kind", ["safetensors", "pth"])
    @pytest.mark.parametrize("name", ["mobilenet_v2:64", "mnasnet0_5:64"])
    def test_file(self, name, kind, tmp_path):
        """Weights from a file give the features of the network they were saved from."""
        encoder, path = opened(name), tmp_path / f"net.{kind}"
        state = encoder.run.module.state_dict()
        save_file(state, path) if kind == "safetensors" else torch.save(state, path)
        read = opened(name, weights=path)
        np.testing.assert_array_equal(read.encode(IMAGES), encoder.encode(IMAGES))
        np.testing.assert_array_equal(read.head.weight, encoder.head.weight)
        assert read.fingerprint == encoder.fingerprint

    @pytest.mark.quick("googlenet")
    @pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
    def test_auxiliary_heads(self, name, tmp_path):
        """A file with auxiliary classifiers, as published, gives torchvision's own output."""
        import torchvision

        torch.manual_seed(0)
        make = torchvision.models.get_model_builder(name)
        module = make(transform_input=True, aux_logits=True, init_weights=False).eval()
        torch.save(module.state_dict(), tmp_path / "net.pth")
        encoder = opened(name, weights=tmp_path / "net.pth", crop=96)
        images = np.random.default_rng(1).integers(0, 256, (2, 96, 96, 3), dtype=np.uint8)
        with torch.no_grad():
            want = module(torch.from_numpy(encoder.preprocessing.apply(images))).numpy()
        got = encoder.head.logits(encoder.encode(images))
        np.testing.assert_allclose(got, want, atol=1e-4 * np.abs(want).max())
        own = [n for n in module.state_dict() if n.lower().startswith("aux")]
        assert own
        assert not any(n in encoder.run.module.state_dict() for n in own)

    @pytest.mark.slow
    def test_old_names(self, tmp_path):
        """DenseNet's published files, with the names of long ago, are read."""
        encoder = opened("densenet121:64")
        state = encoder.run.module.state_dict()
        old = {
            name.replace("norm1", "norm.1").replace("norm2", "norm.2")
            if "denselayer" in name
            else name: value
            for name, value in state.items()
        }
        assert old.keys() != state.keys()
        torch.save(old, tmp_path / "old.pth")
        read = opened("densenet121:64", weights=tmp_path / "old.pth")
        np.testing.assert_array_equal(read.encode(IMAGES), encoder.encode(IMAGES))

    @pytest.mark.slow
    def test_other_network(self, tmp_path):
        """Weights of another network are refused, naming some that are missing and unknown."""
        torch.save(opened("resnet18:64").run.module.state_dict(), tmp_path / "net.pth")
        with pytest.raises(FileFormatError, match=r"missing \(features.*unknown \(conv1"):
            opened("mobilenet_v2", weights=tmp_path / "net.pth")

    def test_pickle(self, tmp_path):
        """A file that holds more than tensors is refused, and not run."""
        torch.save(torch.nn.Linear(2, 2), tmp_path / "whole.pth")
        with pytest.raises(FileFormatError, match="nothing else is unpickled"):
            opened("resnet18", weights=tmp_path / "whole.pth")

    def test_offline(self, monkeypatch, tmp_path):
        """Without a connection the error names the file to fetch elsewhere, and no address."""

        def refuse(*_, **__):
            raise OSError

        monkeypatch.setattr("torch.hub.download_url_to_file", refuse)
        monkeypatch.setenv("TORCH_HOME", str(tmp_path))
        file = r"weights, resnet18-f37072fd\.pth, .* give weights=FILE"
        with pytest.raises(InputError, match=file) as caught:
            open_encoder("torchvision:resnet18")
        assert "://" not in str(caught.value)

    @pytest.mark.slow
    def test_published_is_not_unpickled(self, monkeypatch, tmp_path):
        """What torchvision has fetched is read as tensors alone."""
        folder = tmp_path / "hub" / "checkpoints"
        folder.mkdir(parents=True)
        monkeypatch.setenv("TORCH_HOME", str(tmp_path))
        torch.save(opened("resnet18:64").run.module.state_dict(), folder / "resnet18-f37072fd.pth")
        assert open_encoder("torchvision:resnet18?crop=64").dim == 512
        torch.save(torch.nn.Linear(2, 2), folder / "resnet18-f37072fd.pth")
        with pytest.raises(FileFormatError, match="not a file of torch tensors alone"):
            open_encoder("torchvision:resnet18?crop=64")


class TestPreprocessing:
    @pytest.mark.parametrize("name", ["resnet50", "googlenet", "vit_h_14", "swin_v2_t"])
    def test_as_torchvision(self, name, shared_data):
        """A real, square image is, within one grey level, what torchvision's own makes of it."""
        import torchvision

        published = torchvision.models.get_model_weights(name).DEFAULT
        image = decode(shared_data / "imagenet-val" / "ILSVRC2012_val_00000001.webp")
        want = published.transforms()(image).numpy()
        uri = EncoderUri("torchvision", name)
        made = preprocessing(uri, defaults=defaults(published.transforms(), None))
        pixels = resize(image, made.size, made.shorter, made.interpolation)
        error = np.abs(made.apply(pixels[None])[0] - want) * np.reshape(made.std, (3, 1, 1)) * 255
        assert error.max() < 1.01
        assert error.mean() < 0.01

    @pytest.mark.slow
    def test_own_options(self):
        """Options of the URI go before what torchvision says, and crop takes its share."""
        got = opened("resnet18:64", mean="0.5").preprocessing
        assert (got.size, got.resize, got.shorter) == ((64, 64), "centre", 73)
        assert (got.mean, got.interpolation) == ((0.5,) * 3, "bilinear")
