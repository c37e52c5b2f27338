"""Keras encoders: networks of keras.applications and saved models, against Keras itself."""

from __future__ import annotations

import random
import shutil
import sys
import urllib.error

import h5py
import numpy as np
import pytest
from tests.encoders.lazy import lazy

from intertwine.encoders.keras.applications import pixel_options
from intertwine.encoders.keras.build import import_keras
from intertwine.encoders.preprocessing import Preprocessing
from intertwine.encoders.registry import open_encoder
from intertwine.encoders.uri import EncoderUri
from intertwine.errors import FileFormatError, InputError, MissingExtraError

torch = lazy("torch")

# Keras's own conversion to NumPy, which saving and predicting go through.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
IMAGES = np.random.default_rng(0).integers(0, 256, (20, 32, 32, 3), dtype=np.uint8)
# A quarter of a MobileNet: the smallest network that Keras has.
SMALL = "keras:MobileNet?alpha=0.25&crop=32"


@pytest.fixture(scope="module")
def keras():
    """Return Keras on its torch backend."""
    return import_keras("test")


@pytest.fixture(scope="module")
def small(keras):
    """Return a small network with weights of its own, softmax included."""
    keras.utils.set_random_seed(7)
    model = keras.applications.MobileNet(alpha=0.25, weights=None)
    for weight in model.weights:
        noise = np.random.default_rng(len(weight.path)).uniform(0.5, 1.5, weight.shape)
        weight.assign(keras.ops.convert_to_numpy(weight) + 0.1 * noise)
    return model


@pytest.fixture(scope="module")
def files(small, tmp_path_factory):
    """Return the weights of the small network in every format that is read."""
    folder = tmp_path_factory.mktemp("keras")
    paths = {suffix: folder / f"net{suffix}" for suffix in (".weights.h5", ".keras", ".h5")}
    small.save_weights(paths[".weights.h5"])
    small.save(paths[".keras"])
    small.save(paths[".h5"])
    # As keras.applications fetches them: the weights alone, at the root.
    paths["fetched"] = folder / "fetched.h5"
    with h5py.File(paths[".h5"]) as whole, h5py.File(paths["fetched"], "w") as alone:
        for name, group in whole["model_weights"].items():
            whole.copy(group, alone, name)
        alone.attrs.update(whole["model_weights"].attrs)
    return paths


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    """Leave Keras without a network, and without files that it fetched before."""
    from keras.src.utils import file_utils

    def unreachable(*_):
        raise urllib.error.URLError("no route")

    monkeypatch.setattr(file_utils.config, "keras_home", lambda: str(tmp_path))
    monkeypatch.setattr(file_utils, "urlretrieve", unreachable)
    return file_utils


def softmax(logits):
    """Return shares that add to 1."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    "name",
    [
        "ConvNeXtTiny",
        "DenseNet121",
        "EfficientNetB0",
        "EfficientNetV2B0",
        "InceptionResNetV2",
        "InceptionV3",
        "MobileNet",
        "MobileNetV2",
        "MobileNetV3Large",
        "NASNetLarge",
        "ResNet50",
        "ResNet50V2",
        "VGG16",
        "VGG19",
        "Xception",
    ],
)
def test_pixels(keras, name):
    """The pixels of a network of every module are those of its own `preprocess_input`."""
    uri = EncoderUri("keras", name, {"crop": "32"}, named=True)
    uri = uri.replace(**pixel_options(keras, uri))
    prepared = Preprocessing.from_uri(uri, fixed=None, layout="nhwc", dtype="float32")
    module = sys.modules[getattr(keras.applications, name).__module__]
    want = module.preprocess_input(IMAGES.astype(np.float64), data_format="channels_last")
    np.testing.assert_allclose(prepared.apply(IMAGES), want, rtol=0, atol=2e-5)


def test_every_module_has_its_pixels_tested(keras):
    """The modules of keras.applications are those that `test_pixels` goes through."""
    names = test_pixels.pytestmark[0].args[1]
    tested = {getattr(keras.applications, name).__module__ for name in names}
    functions = (v for name, v in vars(keras.applications).items() if name[0].isupper())
    assert {function.__module__ for function in functions} == tested


@pytest.mark.quick(".h5")
@pytest.mark.parametrize("kind", [".weights.h5", ".keras", ".h5", "fetched"])
def test_weights_from_a_file(small, files, kind):
    """A network given its weights from a file of any format says what Keras says."""
    encoder = open_encoder(f"keras:MobileNet?alpha=0.25&weights={files[kind]}", threads=1)
    images = np.random.default_rng(1).integers(0, 256, (3, 224, 224, 3), dtype=np.uint8)
    want = small.predict_on_batch(images / 127.5 - 1)
    own = softmax(encoder.head.logits(encoder.encode(images)))
    np.testing.assert_allclose(own, want, rtol=1e-3, atol=1e-7)
    assert (encoder.dim, encoder.split) == (256, "conv_preds")
    assert encoder.parameters == small.count_params()
    assert encoder.preprocessing.resize == "centre"


@pytest.mark.slow
def test_another_input_size(keras, small, files):
    """At another input size a network is Keras's own of that size, with the same weights."""
    encoder = open_encoder(f"{SMALL}&weights={files['fetched']}", threads=1)
    there = keras.applications.MobileNet(input_shape=(32, 32, 3), alpha=0.25, weights=None)
    there.set_weights(small.get_weights())
    own = softmax(encoder.head.logits(encoder.encode(IMAGES)))
    np.testing.assert_allclose(own, there.predict_on_batch(IMAGES / 127.5 - 1), rtol=1e-3)


@pytest.mark.quick("MobileNet?alpha=0.5-fetched")
@pytest.mark.parametrize("kind", [".weights.h5", "fetched"])
@pytest.mark.parametrize("other", ["MobileNetV2", "MobileNet?alpha=0.5"])
def test_weights_of_another_network(files, kind, other):
    """Weights of another architecture or width are refused."""
    mark = "&" if "?" in other else "?"
    with pytest.raises(
        FileFormatError, match=r"does not hold its weights|holds another architecture"
    ):
        open_encoder(f"keras:{other}{mark}weights={files[kind]}")


def test_weights_of_a_larger_network(keras, tmp_path):
    """Weights that a network has no place for are refused."""
    image = keras.Input((8, 8, 3))
    inner = keras.layers.Conv2D(4, 3)(image)
    pooled = keras.layers.GlobalAveragePooling2D()(inner)
    keras.Model(image, keras.layers.Dense(2)(pooled)).save(tmp_path / "net.keras")
    wide = keras.layers.GlobalAveragePooling2D()(keras.layers.BatchNormalization()(inner))
    larger = keras.Model(image, keras.layers.Dense(2)(wide))
    larger.save_weights(tmp_path / "larger.weights.h5")
    with pytest.raises(FileFormatError, match=r"another architecture: 8 arrays .* expected 4"):
        open_encoder(f"keras:{tmp_path / 'net.keras'}?weights={tmp_path / 'larger.weights.h5'}")


@pytest.mark.quick(".keras")
@pytest.mark.parametrize("kind", [".weights.h5", ".keras", "fetched"])
def test_cut_weights(files, kind, tmp_path):
    """A file of weights that was cut short is refused."""
    path = tmp_path / files[kind].name
    path.write_bytes(files[kind].read_bytes()[:100_000])
    with pytest.raises(FileFormatError, match="does not hold its weights, or cannot be read"):
        open_encoder(f"{SMALL}&weights={path}")


@pytest.mark.usefixtures("no_network")
def test_offline():
    """Without a network the error names the file to give, and not where it lies."""
    with pytest.raises(InputError, match=r"cannot fetch mobilenet_2_5_224_tf.h5; .*FILE") as raised:
        open_encoder(SMALL)
    assert "//" not in str(raised.value)


@pytest.mark.slow
def test_fetched(files, no_network, monkeypatch, capsys):
    """The weights that Keras publishes are fetched when none are named, and nothing is printed."""

    def give(_, target, *__):
        shutil.copy(files["fetched"], target)

    monkeypatch.setattr(no_network, "urlretrieve", give)
    encoder, named = open_encoder(SMALL), open_encoder(f"{SMALL}&weights={files['fetched']}")
    assert not capsys.readouterr().out
    np.testing.assert_array_equal(encoder.encode(IMAGES), named.encode(IMAGES))


@pytest.mark.slow
def test_published_efficientnet(keras, no_network, monkeypatch, tmp_path):
    """EfficientNet's weights in a file are read as Keras reads those that it fetches."""
    model = keras.applications.EfficientNetB0(weights=None)
    published = model.get_layer("normalization")
    published.adapt_mean.assign([0.485, 0.456, 0.406])
    published.adapt_variance.assign([0.229, 0.224, 0.225])
    path = tmp_path / "net.weights.h5"
    model.save_weights(path)
    monkeypatch.setattr(no_network, "get_file", lambda *_, **__: str(path))
    own = open_encoder("keras:EfficientNetB0", threads=1)
    named = open_encoder(f"keras:EfficientNetB0?weights={path}", threads=1)
    images = np.random.default_rng(1).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
    want = own.encode(images)
    assert np.ptp(want) > 0
    np.testing.assert_allclose(named.encode(images), want, rtol=0, atol=1e-4 * np.abs(want).max())


def random_states():
    """Return where the random numbers of Python, NumPy and torch stand."""
    ours = np.random.get_state()[1]  # noqa: NPY002 - the state that others may rely on
    return random.getstate(), ours.tolist(), torch.get_rng_state().tolist()


@pytest.mark.slow
def test_random_weights():
    """Fresh weights follow from the seed alone, and the caller's random numbers go on as before."""
    states = random_states()
    first, again, other = (open_encoder(f"{SMALL}&weights=random:{seed}") for seed in (1, 1, 2))
    assert first.fingerprint == again.fingerprint != other.fingerprint
    np.testing.assert_array_equal(first.encode(IMAGES), again.encode(IMAGES))
    assert random_states() == states


@pytest.mark.slow
def test_two_extractions():
    """Features do not depend on the run or the number of threads."""
    one, three = (open_encoder(f"{SMALL}&weights=random:0", threads=n) for n in (1, 3))
    want = one.encode(IMAGES)
    np.testing.assert_array_equal(one.encode(IMAGES), want)
    np.testing.assert_array_equal(three.encode(IMAGES), want)


@pytest.mark.slow
def test_bfloat16():
    """In bfloat16 the features are nearly those of float32, and another space."""
    plain = open_encoder(f"{SMALL}&weights=random:0")
    low = open_encoder(f"{SMALL}&weights=random:0", precision="bfloat16")
    want, got = plain.encode(IMAGES), low.encode(IMAGES)
    assert 0 < np.abs(got - want).max() < 0.05 * np.abs(want).max()
    assert low.fingerprint != plain.fingerprint


@pytest.mark.quick("channels_last")
@pytest.mark.parametrize("order", ["channels_first", "channels_last"])
def test_order_of_axes(keras, order):
    """What Keras is set to for the order of axes changes nothing, and stays."""
    before = keras.config.image_data_format()
    keras.config.set_image_data_format(order)
    try:
        encoder = open_encoder(f"{SMALL}&weights=random:0")
        assert keras.config.image_data_format() == order
    finally:
        keras.config.set_image_data_format(before)
    assert encoder.encode(IMAGES).shape == (20, 256)


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("keras:ResNet51", r"is no file, nor a network of keras.applications, which has ConvNeXt"),
        ("keras:ResNet50?alpha=0.5", r"got alpha=0.5, expected a width above 0 of a MobileNet"),
        ("keras:MobileNet?alpha=0", r"got alpha=0, expected a width above 0 of a MobileNet"),
        ("keras:MobileNet?crop=16&weights=random:0", r"Keras cannot make it \(Input size must be"),
        ("keras:MobileNet?weights=random:x", r"got weights=random:x, expected a file"),
        ("keras:NASNetMobile?weights=random:0", r"cannot make it \(NASNetMobile is not available"),
    ],
)
def test_impossible(uri, message):
    """What cannot be made is refused with its reason."""
    with pytest.raises(InputError, match=message):
        open_encoder(uri)


def test_another_backend(keras, monkeypatch):
    """Keras on another backend, running or asked for, is refused with what to set."""
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(InputError, match=r"Keras runs on jax, expected torch; set .*KERAS_BACKEND"):
        open_encoder(SMALL)
    monkeypatch.delitem(sys.modules, "keras")
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    with pytest.raises(InputError, match="Keras runs on tensorflow, expected torch"):
        open_encoder(SMALL)


def test_not_installed(monkeypatch):
    """Without Keras the error is the pip line."""
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'intertwine\[keras\]'"):
        open_encoder(SMALL)
