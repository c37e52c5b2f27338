"""Image networks of transformers: small ones of many families, saved in folders as it saves them."""

from __future__ import annotations

import json
import shutil
import sys
from functools import cache

import numpy as np
import pytest
from tests.encoders.lazy import lazy

from intertwine.encoders.registry import open_encoder
from intertwine.errors import FileFormatError, InputError, MissingExtraError

huggingface_hub = lazy("huggingface_hub")
torch = lazy("torch")
transformers = lazy("transformers")
load_file = lazy("safetensors.torch", "load_file")
save_file = lazy("safetensors.torch", "save_file")

CLASSES = 7
WIDTH = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
}
PATCHES = {**WIDTH, "image_size": 32, "patch_size": 8}
STAGES = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}
TEXTS = {**WIDTH, "vocab_size": 50, "bos_token_id": 0, "eos_token_id": 1}
SQUARE = ("ViT", {"size": {"height": 32, "width": 32}})
SHORTER = ("ConvNext", {"size": {"shortest_edge": 64}})
CUT = {"size": {"shortest_edge": 72}, "crop_size": {"height": 64, "width": 64}}

# Class of the network, its settings, and its image processor.
FAMILIES = {
    "vit": ("ViTForImageClassification", PATCHES, SQUARE),
    "deit": ("DeiTForImageClassification", PATCHES, SQUARE),
    "deit-two-heads": ("DeiTForImageClassificationWithTeacher", PATCHES, SQUARE),
    "beit": ("BeitForImageClassification", PATCHES, SQUARE),
    "swin": (
        "SwinForImageClassification",
        {
            "image_size": 32,
            "patch_size": 2,
            "embed_dim": 16,
            "depths": [1, 1],
            "num_heads": [2, 2],
            "window_size": 4,
        },
        SQUARE,
    ),
    "convnext": (
        "ConvNextForImageClassification",
        {"hidden_sizes": [8, 12, 16, 24], "depths": [1] * 4},
        SHORTER,
    ),
    "resnet": ("ResNetForImageClassification", STAGES, SHORTER),
    "regnet": (
        "RegNetForImageClassification",
        {**STAGES, "layer_type": "x", "groups_width": 8},
        SHORTER,
    ),
    "mobilenet_v2": (
        "MobileNetV2ForImageClassification",
        {"depth_multiplier": 0.35},
        ("MobileNetV2", CUT),
    ),
    "dinov2": (
        "Dinov2ForImageClassification",
        {**WIDTH, "image_size": 28, "patch_size": 14},
        ("Bit", {"size": {"shortest_edge": 32}, "crop_size": {"height": 28, "width": 28}}),
    ),
    "segformer": (
        "SegformerForImageClassification",
        {"depths": [1] * 4, "hidden_sizes": [8, 16, 24, 32], "num_attention_heads": [1, 1, 2, 2]},
        ("Segformer", {"size": {"height": 64, "width": 64}}),
    ),
    "poolformer": (
        "PoolFormerForImageClassification",
        {"hidden_sizes": [8, 8, 16, 16], "depths": [1] * 4},
        ("PoolFormer", {**CUT, "size": {"shortest_edge": 64}}),
    ),
    "siglip": (
        "SiglipForImageClassification",
        {"vision_config": PATCHES, "text_config": TEXTS},
        ("Siglip", SQUARE[1]),
    ),
    "bare-vit": ("ViTModel", PATCHES, SQUARE),
    "bare-resnet": ("ResNetModel", STAGES, SHORTER),
    "clip": (
        "CLIPModel",
        {"projection_dim": 12, "vision_config": PATCHES, "text_config": TEXTS},
        ("CLIP", {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}),
    ),
    "clip-projection": (
        "CLIPVisionModelWithProjection",
        {**PATCHES, "projection_dim": 24},
        ("CLIP", {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}),
    ),
    "clip-tower": (
        "CLIPVisionModel",
        PATCHES,
        ("CLIP", {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}),
    ),
    "masked": ("ViTForMaskedImageModeling", PATCHES, SQUARE),
    "segments": (
        "SegformerForSemanticSegmentation",
        {"depths": [1] * 4, "hidden_sizes": [8, 16, 24, 32], "num_attention_heads": [1, 1, 2, 2]},
        ("Segformer", {"size": {"height": 64, "width": 64}}),
    ),
    "mae": (
        "ViTMAEForPreTraining",
        {
            **PATCHES,
            "decoder_hidden_size": 16,
            "decoder_num_attention_heads": 2,
            "decoder_num_hidden_layers": 1,
            "decoder_intermediate_size": 16,
        },
        SQUARE,
    ),
}
CLASSIFIERS = [name for name, (kind, *_) in FAMILIES.items() if "Classification" in kind]


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """Keep torch's threads from waiting for each other on small layers."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Return a function that saves a family's network once, as (folder, network)."""

    @cache
    def run(family):
        kind, settings, (processor, sizes) = FAMILIES[family]
        network = getattr(transformers, kind)
        config = network.config_class(**settings, num_labels=CLASSES)
        torch.manual_seed(0)
        module = network(config).eval()
        for weight in module.parameters():
            torch.nn.init.normal_(weight, std=0.1)
        folder = tmp_path_factory.mktemp("networks") / family
        module.save_pretrained(folder)
        getattr(transformers, f"{processor}ImageProcessor")(**sizes).save_pretrained(folder)
        return folder, module

    return run


@pytest.fixture
def copied(saved, tmp_path):
    """Return a function that copies a family's folder, to be changed."""

    def run(family="vit"):
        return shutil.copytree(saved(family)[0], tmp_path / family)

    return run


def pixels(encoder, n=3):
    """Return random images, and what the network reads of them."""
    size = (n, *encoder.image_size, 3)
    images = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)
    return images, torch.from_numpy(encoder.preprocessing.apply(images))


class TestClassifier:
    @pytest.mark.quick("deit-two-heads", "dinov2")
    @pytest.mark.parametrize("family", CLASSIFIERS)
    def test_head(self, saved, family):
        """Head of features is the network's own output, and two extractions are bit-equal."""
        folder, module = saved(family)
        encoder = open_encoder(f"hf:{folder}")
        images, batch = pixels(encoder)
        with torch.no_grad():
            want = module(pixel_values=batch).logits.numpy()
        features = encoder.encode(images)
        error = np.abs(encoder.head.logits(features) - want).max() / np.abs(want).max()
        assert error <= 1e-4
        assert encoder.head.n_classes == CLASSES
        np.testing.assert_array_equal(features, encoder.encode(images))

    def test_threads(self, saved):
        """The features are the same to the bit whatever the number of threads."""
        one, three = (open_encoder(f"hf:{saved('vit')[0]}", threads=n) for n in (1, 3))
        images, _ = pixels(one, 30)
        np.testing.assert_array_equal(one.encode(images), three.encode(images))

    def test_facts(self, saved):
        """An encoder says what it is: its split, its weights, its own URI."""
        folder, module = saved("dinov2")
        encoder = open_encoder(f"hf:{folder}")
        # The class token and the mean of the others, side by side.
        assert (encoder.name, encoder.split, encoder.dim) == ("dinov2", "classifier", 64)
        assert encoder.parameters == sum(weight.numel() for weight in module.parameters())
        assert encoder.uri == f"hf:{folder}"
        assert open_encoder(encoder.uri).fingerprint == encoder.fingerprint

    def test_layer(self, saved):
        """A named layer is pooled as asked."""
        folder, module = saved("vit")
        encoder = open_encoder(f"hf:{folder}?head=none&layer=vit.layernorm&pool=mean")
        images, batch = pixels(encoder)
        with torch.no_grad():
            want = module.vit(batch).last_hidden_state.mean(1)
        np.testing.assert_allclose(encoder.encode(images), want, atol=1e-5)


class TestBare:
    def test_pooled_output(self, saved):
        """A network without a classifier gives its pooled output, and has no head."""
        folder, module = saved("bare-resnet")
        encoder = open_encoder(f"hf:{folder}")
        images, batch = pixels(encoder)
        with torch.no_grad():
            want = module(batch).pooler_output[:, :, 0, 0]
        np.testing.assert_allclose(encoder.encode(images), want, rtol=1e-4)
        assert encoder.head is None
        assert encoder.uri == f"hf:{folder}"

    def test_image_features(self, saved):
        """A network that reads texts too gives the embedding of the image."""
        folder, module = saved("clip")
        encoder = open_encoder(f"hf:{folder}")
        images, batch = pixels(encoder)
        with torch.no_grad():
            hidden = module.vision_model(pixel_values=batch).pooler_output
            want = module.visual_projection(hidden)
        np.testing.assert_allclose(encoder.encode(images), want, atol=1e-5)

    def test_projection(self, saved, tmp_path):
        """A tower that ends in a projection gives what that makes, whatever weights it is given."""
        folder, module = saved("clip-projection")
        encoder = open_encoder(f"hf:{folder}")
        images, batch = pixels(encoder)
        with torch.no_grad():
            output = module(batch)
        assert (encoder.dim, output.image_embeds.shape[1]) == (24, 24)
        np.testing.assert_allclose(encoder.encode(images), output.image_embeds, atol=1e-5)
        save_file(module.state_dict(), tmp_path / "w.safetensors")
        again = open_encoder(f"hf:{folder}?weights={tmp_path / 'w.safetensors'}")
        np.testing.assert_array_equal(again.encode(images), encoder.encode(images))
        assert open_encoder(f"hf:{folder}?weights=random:0").dim == 24
        first = open_encoder(f"hf:{folder}?pool=first").encode(images)
        np.testing.assert_allclose(first, output.last_hidden_state[:, 0], atol=1e-5)

    def test_tower(self, saved):
        """A tower without a projection gives its pooled output."""
        folder, module = saved("clip-tower")
        encoder = open_encoder(f"hf:{folder}")
        images, batch = pixels(encoder)
        with torch.no_grad():
            want = module(batch).pooler_output
        np.testing.assert_allclose(encoder.encode(images), want, atol=1e-5)

    def test_projection_is_missing(self, copied):
        """A projection that the file lacks is not drawn at random."""
        folder = copied("clip-projection")
        weights = load_file(folder / "model.safetensors")
        del weights["visual_projection.weight"]
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(InputError, match=r"lacks 1 weight .* visual_projection\.weight"):
            open_encoder(f"hf:{folder}")

    @pytest.mark.parametrize(
        ("architecture", "more"),
        [
            ("CLIPVisionModel", "visual_projection.weight"),
            (None, "visual_projection.weight"),
            ("CLIPVisionModelWithProjection", "adapter.down.weight"),
        ],
    )
    def test_unused_weights(self, copied, architecture, more):
        """Weights that the network would leave out are named, unless a place to take is said."""
        folder = copied("clip-projection")
        config = json.loads((folder / "config.json").read_text())
        config["architectures"] = None if architecture is None else [architecture]
        (folder / "config.json").write_text(json.dumps(config))
        weights = load_file(folder / "model.safetensors")
        save_file(
            {**weights, more: torch.ones(24, 32)},
            folder / "model.safetensors",
            metadata={"format": "pt"},
        )
        with pytest.raises(InputError, match=rf"holds 1 weight, such as {more}, that CLIPVisionMo"):
            open_encoder(f"hf:{folder}")
        encoder = open_encoder(f"hf:{folder}?pool=first")
        assert (encoder.dim, len(encoder.notes)) == (32, 1)

    @pytest.mark.parametrize("family", ["masked", "segments"])
    def test_other_heads(self, saved, family):
        """A network saved with a head of another kind says what it lacks or leaves out."""
        with pytest.raises(InputError, match=r"lacks|no pooled output|does not use"):
            open_encoder(f"hf:{saved(family)[0]}")
        assert open_encoder(f"hf:{saved(family)[0]}?pool=mean").dim == 32

    def test_unused_weights_of_a_classifier(self, copied):
        """A classifier makes its own logits without them, and a note names them."""
        folder = copied()
        before = open_encoder(f"hf:{folder}")
        weights = load_file(folder / "model.safetensors")
        save_file(
            {**weights, "extra.weight": torch.ones(3)},
            folder / "model.safetensors",
            metadata={"format": "pt"},
        )
        encoder = open_encoder(f"hf:{folder}")
        assert "1 weight, such as extra.weight, that ViTForImageClassif" in encoder.notes[0]
        assert (encoder.dim, before.notes) == (before.dim, ())

    def test_adapter(self, copied):
        """An adapter beside the network is not left out without a word."""
        folder = copied()
        (folder / "adapter_config.json").write_text("{}")
        with pytest.raises(InputError, match=r"holds an adapter .*merge it"):
            open_encoder(f"hf:{folder}")

    @pytest.mark.parametrize("pool", ["mean", "first"])
    def test_last_hidden_state(self, saved, pool):
        """With `pool`, the last hidden state is pooled instead."""
        folder, module = saved("bare-vit")
        encoder = open_encoder(f"hf:{folder}?pool={pool}")
        images, batch = pixels(encoder)
        with torch.no_grad():
            hidden = module(batch).last_hidden_state
        want = hidden.mean(1) if pool == "mean" else hidden[:, 0]
        np.testing.assert_allclose(encoder.encode(images), want, atol=1e-5)
        said = "pool=mean averages all tokens, cls_token with the patches"
        assert [note.endswith(said) for note in encoder.notes] == ([True] if pool == "mean" else [])

    def test_pooler_is_missing(self, copied):
        """A pooler that the file lacks is not drawn at random; without it the rest can be used."""
        folder = copied("bare-vit")
        weights = load_file(folder / "model.safetensors")
        kept = {name: value for name, value in weights.items() if "pooler" not in name}
        save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(
            InputError, match=r"lacks 2 weights of the network, such as pooler.*; give pool=mean"
        ):
            open_encoder(f"hf:{folder}")
        assert open_encoder(f"hf:{folder}?pool=first").dim == 32

    def test_no_pooled_output(self, saved):
        """Where there is no pooled output, the error names the option."""
        with pytest.raises(InputError, match="it has no pooled output; give pool=mean or pool=fi"):
            open_encoder(f"hf:{saved('mae')[0]}")

    def test_random_mask(self, saved):
        """A network that masks its input at random is refused."""
        with pytest.raises(InputError, match="two runs on one image differ"):
            open_encoder(f"hf:{saved('mae')[0]}?pool=mean")


class TestWeights:
    def test_file(self, saved, tmp_path):
        """Weights of a file take the place of the network's own."""
        folder, module = saved("vit")
        doubled = {name: 2 * value for name, value in module.state_dict().items()}
        save_file(doubled, tmp_path / "w.safetensors")
        encoder = open_encoder(f"hf:{folder}?weights={tmp_path / 'w.safetensors'}")
        np.testing.assert_allclose(encoder.head.weight, doubled["classifier.weight"])

    def test_wrong_file(self, saved, tmp_path):
        """A file of another network is refused."""
        save_file({"x": torch.zeros(1)}, tmp_path / "w.safetensors")
        with pytest.raises(FileFormatError, match="holds another architecture"):
            open_encoder(f"hf:{saved('vit')[0]}?weights={tmp_path / 'w.safetensors'}")

    def test_random(self, copied):
        """Fresh weights follow the seed alone, and need no file of weights."""
        folder = copied()
        (folder / "model.safetensors").unlink()
        uris = [f"hf:{folder}?weights=random:{seed}" for seed in (1, 1, 2)]
        prints = [open_encoder(uri).fingerprint for uri in uris]
        assert prints[0] == prints[1] != prints[2]

    def test_half(self, copied):
        """Weights saved in half precision run in float32."""
        folder = copied()
        network = transformers.AutoModelForImageClassification.from_pretrained(folder)
        network.half().save_pretrained(folder)
        encoder = open_encoder(f"hf:{folder}")
        assert {weight.dtype for weight in encoder.run.module.parameters()} == {torch.float32}

    def test_missing_weight(self, copied):
        """A weight that the file lacks is not drawn at random."""
        folder = copied()
        weights = load_file(folder / "model.safetensors")
        del weights["classifier.bias"]
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(InputError, match=r"lacks 1 weight .* such as classifier\.bias$"):
            open_encoder(f"hf:{folder}")

    def test_pickle(self, copied):
        """A pickle in place of the safetensors file is not read."""
        folder = copied()
        torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
        (folder / "model.safetensors").unlink()
        with pytest.raises(InputError, match=r"holds no model\.safetensors, .*nothing is unpickle"):
            open_encoder(f"hf:{folder}")


class TestFolder:
    def test_name(self, saved, monkeypatch):
        """A network can be opened by the name of its repository, and is the folder's."""
        folder, _ = saved("vit")
        monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(folder))
        encoder = open_encoder("hf:someone/vit-tiny")
        assert (encoder.name, encoder.uri) == ("vit-tiny", "hf:someone/vit-tiny")
        assert encoder.fingerprint == open_encoder(f"hf:{folder}").fingerprint

    def test_missing_extra(self, saved, monkeypatch):
        """Without the library, the error is the pip line of its extra."""
        monkeypatch.setitem(sys.modules, "transformers", None)
        with pytest.raises(MissingExtraError, match=r"pip install 'intertwine\[transformers\]'"):
            open_encoder(f"hf:{saved('vit')[0]}")

    def test_own_code(self, copied, tmp_path):
        """Code that a folder brings is not run."""
        folder, ran = copied(), tmp_path / "ran"
        (folder / "own.py").write_text(f"open({str(ran)!r}, 'w')")
        config = json.loads((folder / "config.json").read_text())
        config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Config"}}
        (folder / "config.json").write_text(json.dumps(config))
        with pytest.raises(InputError, match="cannot be read"):
            open_encoder(f"hf:{folder}")
        assert not ran.exists()

    def test_no_processor(self, copied):
        """Without an image processor, the options that it would have given are asked for."""
        folder = copied()
        (folder / "preprocessor_config.json").unlink()
        with pytest.raises(
            InputError,
            match=r"holds no preprocessor_config\.json; put it there, or give mean=, std=, scale=",
        ):
            open_encoder(f"hf:{folder}?crop=32")
        got = open_encoder(f"hf:{folder}?crop=32&mean=0.5&std=0.5&scale=1/255").preprocessing
        assert (got.size, got.std) == ((32, 32), (0.5, 0.5, 0.5))

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("image_mean", [0.5, 0.5]),
            ("image_std", {"a": 1}),
            ("rescale_factor", "\x1b[31m"),
            ("resample", []),
            ("size", {"height": "x", "width": 32}),
        ],
    )
    def test_damaged_processor(self, copied, key, value):
        """Settings of an image processor that are no numbers are refused in one line."""
        file = copied() / "preprocessor_config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {key: value}))
        with pytest.raises((FileFormatError, InputError), match="vit") as told:
            open_encoder(f"hf:{file.parent}")
        assert "\n" not in str(told.value)

    def test_damaged_architectures(self, copied):
        """Names of classes that are no texts are refused."""
        file = copied() / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"architectures": [5]}))
        with pytest.raises(
            FileFormatError, match=r"config\.json: architectures is \[5\], expected"
        ):
            open_encoder(f"hf:{file.parent}")

    def test_processor_of_several(self, copied, saved):
        """The image processor may stand beside other processors in one file."""
        folder = copied("clip")
        settings = json.loads((folder / "preprocessor_config.json").read_text())
        (folder / "preprocessor_config.json").unlink()
        (folder / "processor_config.json").write_text(json.dumps({"image_processor": settings}))
        got = open_encoder(f"hf:{folder}").preprocessing
        assert got == open_encoder(f"hf:{saved('clip')[0]}").preprocessing

    @pytest.mark.slow
    def test_options_go_first(self, saved):
        """Options of the URI replace what the processor says, and only that."""
        got = open_encoder(f"hf:{saved('mobilenet_v2')[0]}?mean=0&resize=centre:80").preprocessing
        assert (got.mean, got.std, got.shorter) == ((0, 0, 0), (0.5, 0.5, 0.5), 80)

    def test_processor_does_more(self, copied):
        """A processor that does more than its settings say is found out, and can be put aside."""
        folder = copied("poolformer")
        settings = json.loads((folder / "preprocessor_config.json").read_text())
        # LeViT's resizes the shorter side to 256/224 of what it says.
        settings |= {"image_processor_type": "LevitImageProcessor", "size": {"shortest_edge": 64}}
        settings.pop("crop_pct")
        (folder / "preprocessor_config.json").write_text(json.dumps(settings))
        with pytest.raises(InputError, match="does more than its size, crop and mean say; give"):
            open_encoder(f"hf:{folder}")
        got = open_encoder(f"hf:{folder}?crop=64&resize=centre:73").preprocessing
        assert (got.shorter, got.size) == (73, (64, 64))
