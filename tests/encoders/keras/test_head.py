"""Where Keras models are split, against what the models themselves put out."""

from __future__ import annotations

import json
import tracemalloc
import zipfile

import h5py
import numpy as np
import pytest
from tests.encoders.lazy import Lazy

from intertwine.encoders.keras.build import import_keras
from intertwine.encoders.keras.weights import copy_weights
from intertwine.encoders.registry import open_encoder
from intertwine.errors import FileFormatError, InputError

# Keras's own conversion to NumPy, which saving and predicting go through.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
IMAGES = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
keras = Lazy(lambda: import_keras("test"))
layers = Lazy(lambda: keras.layers)


def save(path, *tail, trunk="image", shape=(8, 8, 3)):
    """Write a saved model: a convolution scaled to pixels, then the layers of a tail."""
    value = image = keras.Input(shape, name=trunk)
    for layer in (layers.Rescaling(1 / 255), layers.Conv2D(6, 3, name="conv"), *tail):
        value = layer(value)
    model = keras.Model(image, value)
    model.save(path)
    return model


def softmax(logits):
    """Return shares that add to 1."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def sigmoid(logits):
    """Return the logistic function."""
    return 1 / (1 + np.exp(-logits))


def same(logits):
    """Return logits as they are."""
    return logits


def pool(**options):
    """Return a global average pooling."""
    return layers.GlobalAveragePooling2D(**options)


HEADS = {
    "dense": (lambda: [pool(), layers.Dense(4)], same),
    "no bias": (lambda: [pool(), layers.Dense(4, use_bias=False)], same),
    "softmax inside": (lambda: [pool(), layers.Dense(4, activation="softmax")], softmax),
    "softmax after": (lambda: [pool(), layers.Dense(4), layers.Softmax()], softmax),
    "activation after": (lambda: [pool(), layers.Dense(4), layers.Activation("sigmoid")], sigmoid),
    "linear after": (lambda: [pool(), layers.Dense(4), layers.Activation("linear")], same),
    "dropout": (lambda: [pool(), layers.Dropout(0.5), layers.Dense(4), layers.Dropout(0.5)], same),
    "flatten": (lambda: [layers.Flatten(), layers.Dense(4)], same),
    "conv": (
        lambda: [pool(keepdims=True), layers.Conv2D(4, 1), layers.Flatten(), layers.Softmax()],
        softmax,
    ),
    "conv, then pool": (lambda: [layers.Conv2D(4, 1), pool(), layers.Softmax()], softmax),
    "dense at positions, then pool": (lambda: [layers.Dense(4), pool()], same),
}


@pytest.mark.quick("no bias", "flatten")
@pytest.mark.parametrize("kind", HEADS)
def test_head(kind, tmp_path):
    """A saved model is split at its last linear layer, its scores taken back to logits."""
    tail, scores = HEADS[kind]
    model = save(tmp_path / "net.keras", *tail())
    encoder = open_encoder(f"keras:{tmp_path / 'net.keras'}", threads=1)
    want = model.predict_on_batch(IMAGES.astype(np.float32))
    own = encoder.head.logits(encoder.encode(IMAGES))
    np.testing.assert_allclose(scores(own), want, rtol=1e-4, atol=1e-5)
    assert encoder.dim == (216 if kind == "flatten" else 6)
    assert encoder.parameters == model.count_params()
    assert encoder.preprocessing.resize == "squash"


def test_sequential(tmp_path):
    """A sequential model in Keras 2's format is read like any other."""
    model = keras.Sequential([keras.Input((8, 8, 3)), layers.Flatten(), layers.Dense(3)])
    model.save(tmp_path / "net.h5")
    encoder = open_encoder(f"keras:{tmp_path / 'net.h5'}", threads=1)
    own = encoder.head.logits(encoder.encode(IMAGES))
    want = model.predict_on_batch(IMAGES.astype(np.float32))
    np.testing.assert_allclose(own, want, rtol=1e-4)


def test_nested(tmp_path):
    """A layer that is a model itself is a layer like others."""
    image = keras.Input((8, 8, 3))
    inner = keras.Model(image, pool()(layers.Conv2D(6, 3)(image)), name="inner")
    model = keras.Sequential([keras.Input((8, 8, 3)), inner, layers.Dense(3)])
    model.save(tmp_path / "net.keras")
    encoder = open_encoder(f"keras:{tmp_path / 'net.keras'}", threads=1)
    want = inner.predict_on_batch(IMAGES.astype(np.float32))
    np.testing.assert_allclose(encoder.encode(IMAGES), want, rtol=1e-4)
    named = open_encoder(f"keras:{tmp_path / 'net.keras'}?head=none&layer=inner", threads=1)
    np.testing.assert_allclose(named.encode(IMAGES), want, rtol=1e-4)


@pytest.fixture
def two_heads(tmp_path):
    """Return a model of two fully connected layers, and its file."""
    tail = [pool(), layers.Dense(5, name="first"), layers.Dense(3, "softmax", name="second")]
    return save(tmp_path / "net.keras", *tail), tmp_path / "net.keras"


def inner(model, name):
    """Return what a layer puts out for the images, its mean over positions."""
    part = keras.Model(model.inputs[0], model.get_layer(name).output)
    value = part.predict_on_batch(IMAGES.astype(np.float32))
    return value.reshape(len(value), -1, value.shape[-1]).mean(axis=1)


@pytest.mark.parametrize(("layer", "dim"), [("conv", 6), ("first", 5)])
def test_layer_without_head(two_heads, layer, dim):
    """`head=none` takes what a layer puts out, its mean over positions."""
    model, path = two_heads
    encoder = open_encoder(f"keras:{path}?head=none&layer={layer}", threads=1)
    assert (encoder.dim, encoder.head, encoder.split) == (dim, None, layer)
    np.testing.assert_allclose(encoder.encode(IMAGES), inner(model, layer), rtol=1e-4)


def test_output_without_head(two_heads):
    """`head=none` alone takes the model's own output, scores included."""
    model, path = two_heads
    encoder = open_encoder(f"keras:{path}?head=none", threads=1)
    want = model.predict_on_batch(IMAGES.astype(np.float32))
    np.testing.assert_allclose(encoder.encode(IMAGES), want, rtol=1e-4)


def test_layer_as_head(two_heads):
    """`layer=NAME` splits at another linear layer than the last."""
    model, path = two_heads
    encoder = open_encoder(f"keras:{path}?layer=first", threads=1)
    own = encoder.head.logits(encoder.encode(IMAGES))
    np.testing.assert_allclose(own, inner(model, "first"), rtol=1e-4, atol=1e-6)


def test_background(two_heads):
    """`background=drop` leaves class 0 out of the head."""
    _, path = two_heads
    whole, less = (open_encoder(f"keras:{path}{end}") for end in ("", "?background=drop"))
    np.testing.assert_array_equal(less.head.weight, whole.head.weight[1:])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("layer=third", r"layer third runs 0 times on an image, expected once; .* first, second"),
        ("layer=conv", r"layer conv is not fully connected nor a 1×1 convolution"),
        ("alpha=0.5", r"got alpha, which is for networks by name"),
        ("crop=16", r"got crop=16x16, but the network's input is 8x8"),
    ],
)
def test_impossible_options(two_heads, options, message):
    """Options that a saved model cannot follow are refused."""
    with pytest.raises(InputError, match=message):
        open_encoder(f"keras:{two_heads[1]}?{options}")


@pytest.mark.quick("none", "relu", "tanh inside")
@pytest.mark.parametrize(
    "tail",
    [
        pytest.param(
            lambda: [layers.Conv2D(4, 1, activation="relu"), pool()], id="relu, then pool"
        ),
        pytest.param(
            lambda: [layers.Conv2D(4, 1), layers.Softmax(), pool()], id="softmax, then pool"
        ),
        pytest.param(lambda: [pool(), layers.Dense(4), layers.ReLU()], id="relu"),
        pytest.param(lambda: [pool(), layers.Dense(4, activation="tanh")], id="tanh inside"),
        pytest.param(lambda: [layers.Conv2D(4, 1), layers.Flatten()], id="flattened positions"),
        pytest.param(lambda: [pool()], id="none"),
    ],
)
def test_no_linear_head(tail, tmp_path):
    """A model whose output is no affine map of features has no head, and head=none is named."""
    save(tmp_path / "net.keras", *tail())
    with pytest.raises(InputError, match=r"has no linear head: .*give head=none"):
        open_encoder(f"keras:{tmp_path / 'net.keras'}")


def test_channels_first(tmp_path):
    """A model that reads channels first is given them so."""
    options = {"data_format": "channels_first"}
    tail = [layers.Conv2D(6, 3, name="inner", **options), layers.Conv2D(4, 1, **options)]
    image = keras.Input((3, 8, 8))
    value = tail[1](tail[0](image))
    model = keras.Model(image, pool(**options)(value))
    model.save(tmp_path / "net.keras")
    encoder = open_encoder(f"keras:{tmp_path / 'net.keras'}", threads=1)
    assert encoder.preprocessing.layout == "nchw"
    want = model.predict_on_batch(IMAGES.transpose(0, 3, 1, 2).astype(np.float32))
    own = encoder.head.logits(encoder.encode(IMAGES))
    np.testing.assert_allclose(own, want, rtol=1e-4, atol=1e-4 * np.abs(want).max())


@pytest.mark.slow
def test_random_weights(two_heads):
    """A saved model's untrained control has its layers and other weights, the same for a seed."""
    _, path = two_heads
    own = open_encoder(f"keras:{path}")
    one, again, two = (open_encoder(f"keras:{path}?weights=random:{n}") for n in (1, 1, 2))
    assert one.fingerprint == again.fingerprint
    assert len({own.fingerprint, one.fingerprint, two.fingerprint}) == 3
    np.testing.assert_array_equal(one.encode(IMAGES), again.encode(IMAGES))
    assert not np.allclose(one.encode(IMAGES), own.encode(IMAGES))


def test_code_is_not_run(tmp_path):
    """A file with a Lambda layer is refused, and its code stays unread."""
    code = layers.Lambda(lambda value: value * 2, output_shape=(6,))
    save(tmp_path / "net.keras", pool(), code, layers.Dense(2))
    with pytest.raises(FileFormatError, match="holds a Lambda layer, which is Python code"):
        open_encoder(f"keras:{tmp_path / 'net.keras'}")


def test_scores_by_pairs(tmp_path):
    """Scores over parts of the logits are not scores of the classes."""
    tail = (pool(), layers.Dense(4), layers.Reshape((2, 2)), layers.Softmax())
    save(tmp_path / "net.keras", *tail)
    with pytest.raises(InputError, match="does not make the network's own output"):
        open_encoder(f"keras:{tmp_path / 'net.keras'}")


def inflated(path, **settings):
    """Change settings of the last layer of a saved model, and of no weight."""
    if path.suffix == ".h5":
        with h5py.File(path, "a") as file:
            config = json.loads(file.attrs["model_config"])
            config["config"]["layers"][-1]["config"].update(settings)
            file.attrs["model_config"] = json.dumps(config)
        return
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    config["config"]["layers"][-1]["config"].update(settings)
    parts["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)


@pytest.mark.parametrize(
    ("name", "make", "settings"),
    [
        ("net.keras", lambda: layers.Dense(2), {"units": 10**9}),
        ("net.h5", lambda: layers.Dense(2), {"units": 10**9}),
        ("net.keras", lambda: layers.Conv2D(2, 1), {"filters": 10**9}),
        (
            "net.keras",
            lambda: layers.Conv2D(2, 1),
            {"kernel_size": [30_000, 30_000], "padding": "same"},
        ),
        ("net.keras", lambda: layers.Dense(2), {"units": 60}),
    ],
    ids=["units", "units in h5", "filters", "kernel", "a few"],
)
def test_larger_than_its_file(tmp_path, name, make, settings):
    """A model that describes more weights than it holds is refused before they are made."""
    layer = make()
    save(tmp_path / name, pool() if isinstance(layer, layers.Dense) else layers.Identity(), layer)
    inflated(tmp_path / name, **settings)
    tracemalloc.start()
    with pytest.raises(
        FileFormatError, match=r"layers have at least \d+ weights, but it holds \d+"
    ):
        open_encoder(f"keras:{tmp_path / name}")
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()


@pytest.mark.parametrize("name", ["net.keras", "net.h5", "net.pt"])
def test_no_model(name, tmp_path):
    """A file that is no saved model is refused."""
    (tmp_path / name).write_bytes(b"no model")
    with pytest.raises(FileFormatError, match="not a model that Keras can read"):
        open_encoder(f"keras:{tmp_path / name}")


def test_no_graph(tmp_path):
    """A sequential model that never saw an input is refused."""
    with pytest.warns(UserWarning, match="has not yet been built"):
        keras.Sequential([layers.Dense(2)]).save(tmp_path / "net.keras")
    with pytest.raises(InputError, match="holds no graph of layers"):
        open_encoder(f"keras:{tmp_path / 'net.keras'}")


def test_several_outputs(tmp_path):
    """A model of two outputs is refused."""
    image = keras.Input((8, 8, 3))
    flat = layers.Flatten()(image)
    keras.Model(image, [layers.Dense(2)(flat), layers.Dense(2)(flat)]).save(tmp_path / "net.keras")
    with pytest.raises(InputError, match="has 2 outputs, expected one"):
        open_encoder(f"keras:{tmp_path / 'net.keras'}")


def test_no_images(tmp_path):
    """A model that reads no images is refused."""
    vector = keras.Input((7,))
    keras.Model(vector, layers.Dense(2)(vector)).save(tmp_path / "net.keras")
    with pytest.raises(InputError, match=r"inputs have shapes \(None, 7\), expected one of"):
        open_encoder(f"keras:{tmp_path / 'net.keras'}")


def test_weights_that_depend_on_the_size():
    """A network whose weights depend on its input size keeps its own."""

    def network(size):
        image = keras.Input((size, size, 3))
        return keras.Model(image, layers.Dense(2, name="fc")(layers.Flatten()(image)))

    with pytest.raises(InputError, match=r"fc/kernel has shape \(192, 2\) .* 8 pixels and \(48, 2"):
        copy_weights(network(8), network(4), where="encoder keras:VGG16")
