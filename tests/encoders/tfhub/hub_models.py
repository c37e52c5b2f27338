"""TensorFlow SavedModels made for tests, and what opening them as encoders gives.

To be run in a process of its own, since TensorFlow takes seconds to import and warns:
`python hub_models.py FOLDER` writes `results.npz` (by case `CASE/features`, `CASE/logits` as the
encoder gives them, `CASE/output` as TensorFlow gives it, and whatever a case adds) and `said.json`: by
case what the encoder says of itself, or the kind of error and its message.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf

from intertwine.encoders.execution import Execution
from intertwine.encoders.registry import open_encoder
from intertwine.encoders.tfhub.encoder import open_uri
from intertwine.encoders.uri import EncoderUri
from intertwine.errors import IntertwineError

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (5, 20, 20, 3), np.uint8)
PIXELS = (IMAGES / 255).astype(np.float32)
WIDTH, CLASSES = 8, 6
SIZE = [None, 20, 20, 3]
# What TensorFlow calls the inside of a signature.
SCOPE = "StatefulPartitionedCall"


def draw(*shape):
    """Return a weight."""
    return tf.Variable(RNG.standard_normal(shape).astype(np.float32))


class Network(tf.Module):
    """Convolution, batch normalisation, ReLU; what comes then depends on the function called."""

    def __init__(self):
        self.kernel, self.offset, self.mean = draw(3, 3, 3, WIDTH), draw(WIDTH), draw(WIDTH)
        self.scale, self.variance = tf.Variable(tf.ones(WIDTH)), tf.Variable(tf.ones(WIDTH))
        self.deep, self.weight, self.bias = (
            draw(3, 3, WIDTH, 1),
            draw(WIDTH, CLASSES),
            draw(CLASSES),
        )
        self.conv, self.shift = draw(1, 1, WIDTH, CLASSES), draw(WIDTH)
        table = tf.lookup.KeyValueTensorInitializer(tf.constant([0]), tf.constant([1.0]))
        self.table = tf.lookup.StaticHashTable(table, 0.0)

    def body(self, x):
        """Return a map (n, h, w, 8)."""
        x = tf.nn.conv2d(x, self.kernel, 2, "SAME")
        norm = (self.scale, self.offset, self.mean, self.variance)
        x = tf.compat.v1.nn.fused_batch_norm(x, *norm, is_training=False)[0]
        x = tf.nn.relu(tf.nn.depthwise_conv2d(x, self.deep, [1, 1, 1, 1], "SAME"))
        return tf.nn.relu6(tf.nn.bias_add(x, self.offset))

    def features(self, x):
        """Return features (n, 8)."""
        return tf.reduce_mean(self.body(x), [1, 2])

    def logits(self, x):
        """Return logits (n, 6)."""
        return self.features(x) @ self.weight + self.bias

    def probabilities(self, x):
        """Return the classes' shares."""
        return tf.nn.softmax(self.logits(x))

    def convolved(self, x):
        """Return logits as the mean of a 1×1 convolution."""
        return tf.reduce_mean(
            tf.nn.bias_add(tf.nn.conv2d(self.body(x), self.conv, 1, "SAME"), self.bias), [1, 2]
        )

    def squeezed(self, x):
        """Return logits as slim's networks make them."""
        x = tf.reduce_mean(self.body(x), [1, 2], keepdims=True)
        x = tf.nn.bias_add(tf.nn.conv2d(x, self.conv, 1, "SAME"), self.bias)
        return tf.nn.softmax(tf.squeeze(x, [1, 2]))

    def halved(self, x):
        """Return the mean of two halves of the logits."""
        return tf.reduce_mean(tf.reshape(self.logits(x), [-1, 2, CLASSES // 2]), 1)

    def paired(self, x):
        """Return shares within pairs of classes."""
        return tf.nn.softmax(tf.reshape(self.logits(x), [-1, CLASSES // 2, 2]))

    def pooled(self, x):
        """Return the logits of an image of 20×20 pixels or more."""
        x = tf.nn.avg_pool2d(self.body(x), 10, 1, "VALID")
        return tf.squeeze(tf.nn.conv2d(x, self.conv, 1, "SAME"), [1, 2])

    def rooted(self, x):
        """Return a share of each feature, where no linear layer stands."""
        return tf.nn.softmax(tf.sqrt(self.features(x)))

    def shifted(self, x):
        """Return logits after a constant that is no bias is added."""
        return (self.features(x) + self.shift) @ self.weight

    def counted(self, x):
        """Return logits that a table of TensorFlow adds to."""
        return self.logits(x) + self.table.lookup(tf.constant(0))

    def plain_norm(self, x):
        """Return features after a batch normalisation of single operations."""
        x = tf.nn.conv2d(x, self.kernel, 2, "SAME")
        x = tf.nn.batch_normalization(x, self.mean, self.variance, self.offset, self.scale, 0.001)
        return tf.reduce_mean(tf.nn.relu(x), [1, 2]) @ self.weight


class Callable(Network):
    """A network that is called, and saved without a signature."""

    @tf.function
    def __call__(self, x, training=True):
        """Return logits, others in training."""
        return self.logits(x) * 2 if training else self.logits(x)


NETWORK = Network()


def save(folder, *functions, spec=None, name="logits"):
    """Write functions as a SavedModel, the first as `serving_default`, the others by their names."""
    spec = spec or [tf.TensorSpec(SIZE, tf.float32, "image")]
    signatures = {}
    for function in functions:
        made = tf.function(lambda *x, function=function: {name: function(*x)}, input_signature=spec)
        signatures[function.__name__ if signatures or len(functions) > 1 else "serving_default"] = (
            made
        )
    tf.saved_model.save(NETWORK, str(folder), signatures=signatures)
    return folder


def save_module(folder):
    """Write a module of TensorFlow 1, as TF-Hub kept them."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        images = v1.placeholder(tf.float32, SIZE)
        kernel = v1.get_variable("kernel", initializer=KERNELS[0])
        conv = v1.get_variable("conv", initializer=KERNELS[1])
        bias = v1.get_variable("bias", initializer=KERNELS[2])
        maps = tf.nn.relu(tf.nn.conv2d(images, kernel, 2, "SAME"))
        features = tf.nn.avg_pool2d(maps, 10, 1, "VALID")
        logits = tf.squeeze(tf.nn.bias_add(tf.nn.conv2d(features, conv, 1, "SAME"), bias), [1, 2])
        vector = tf.squeeze(features, [1, 2])
        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(str(folder))
        outputs = {
            "default": {"default": logits},
            "image_classification": {"default": logits, "maps": maps},
            "image_feature_vector": {"default": vector, "maps": maps},
        }
        signatures = {
            name: v1.saved_model.predict_signature_def({"images": images}, found)
            for name, found in outputs.items()
        }
        builder.add_meta_graph_and_variables(session, [], signature_def_map=signatures)
        builder.add_meta_graph(["train"], signature_def_map=signatures)
        builder.save()
    (folder / "tfhub_module.pb").write_bytes(b"\x08\x03")
    return folder


KERNELS = [NETWORK.kernel.numpy(), NETWORK.conv.numpy(), NETWORK.bias.numpy()]


class Report:
    """What the cases gave."""

    def __init__(self):
        self.said, self.arrays = {}, {}

    def open(self, case, folder, options="", output=None, *, images=IMAGES, execution=None):
        """Open a SavedModel as an encoder, run it, and keep what it gives."""
        uri = EncoderUri.parse(f"tfhub:{folder}{'?' * bool(options)}{options}")
        try:
            encoder = open_uri(uri, execution or Execution(1))
            features = encoder.encode(images)
        except IntertwineError as error:
            self.said[case] = {"error": type(error).__name__, "message": str(error)}
            return
        self.said[case] = {
            "dim": encoder.dim,
            "split": encoder.split,
            "parameters": encoder.parameters,
            "size": encoder.image_size,
            "classes": None if encoder.head is None else encoder.head.n_classes,
            "weights_sha256": encoder.weights_sha256,
            "fingerprint": encoder.fingerprint,
        }
        self.arrays[f"{case}/features"] = features
        if encoder.head is not None:
            self.arrays[f"{case}/logits"] = encoder.head.logits(features)
        if output is not None:
            self.arrays[f"{case}/output"] = np.asarray(output)


def split_cases(folder, report):
    """Open networks that end in every way."""
    for name in ("logits", "probabilities", "convolved", "squeezed", "features"):
        function = getattr(NETWORK, name)
        report.open(name, save(folder / name, function), output=function(PIXELS))
    report.arrays["vectors"] = NETWORK.features(PIXELS).numpy()
    report.arrays["logits/by name"] = open_encoder(f"tfhub:{folder / 'logits'}").encode(IMAGES)
    report.open("background", folder / "logits", "background=drop")
    report.open(
        "raw", folder / "logits", "scale=1", output=NETWORK.logits(IMAGES.astype(np.float32))
    )
    report.open("head=none", folder / "logits", "head=none", output=NETWORK.logits(PIXELS))
    layer = f"{SCOPE}/matmul"
    report.open("layer", folder / "probabilities", f"layer={layer}", output=NETWORK.logits(PIXELS))
    report.open(
        "layer output",
        folder / "logits",
        f"head=none&layer={layer}",
        output=NETWORK.logits(PIXELS) - NETWORK.bias,
    )


def signature_cases(folder, report):
    """Open modules of TensorFlow 1, several signatures, and none."""
    module = save_module(folder / "module")
    report.open("module", module)
    report.open("module vector", module, "signature=image_feature_vector")
    report.arrays["module/output"] = np.asarray(
        tf.saved_model.load(str(module), tags=[]).signatures["default"](tf.constant(PIXELS))[
            "default"
        ]
    )
    report.open("module classes", module, "signature=image_classification:default")
    report.open("module maps", module, "signature=image_classification:maps")
    report.open("module output", module, "signature=default:nothing")
    several = save(folder / "several", NETWORK.logits, NETWORK.features)
    report.open("several", several)
    report.open("chosen", several, "signature=features", output=NETWORK.features(PIXELS))
    report.open("unknown signature", several, "signature=nothing")
    both = tf.function(
        lambda image: {"a": NETWORK.logits(image), "b": NETWORK.features(image)},
        input_signature=[tf.TensorSpec(SIZE, tf.float32, "image")],
    )
    tf.saved_model.save(NETWORK, str(folder / "both"), signatures={"serve_me": both})
    report.open("both", folder / "both")
    report.open("first", folder / "both", "signature=serve_me:a", output=NETWORK.logits(PIXELS))
    called = Callable()
    for training in (True, False):
        called.__call__.get_concrete_function(tf.TensorSpec(SIZE, tf.float32), training=training)
    tf.saved_model.save(called, str(folder / "called"), signatures={})
    report.open("called", folder / "called", output=called(PIXELS, training=False))
    tf.saved_model.save(tf.Module(), str(folder / "empty"))
    report.open("empty", folder / "empty")


def input_cases(folder, report):
    """Open networks with inputs of other sizes, types and numbers."""
    spec = tf.TensorSpec([None, None, None, 3], tf.float32)
    report.open("any size", save(folder / "any", NETWORK.logits, spec=[spec]))
    report.open("crop", folder / "any", "crop=20", output=NETWORK.logits(PIXELS))
    report.open("small", save(folder / "small", NETWORK.pooled, spec=[spec]), "crop=8")
    report.open("other crop", folder / "logits", "crop=24")
    one = [tf.TensorSpec([1, 20, 20, 3], tf.float32)]
    report.open(
        "one", save(folder / "one", NETWORK.logits, spec=one), output=NETWORK.logits(PIXELS)
    )

    four = [tf.TensorSpec([4, 20, 20, 3], tf.float32)]
    report.open(
        "four", save(folder / "four", NETWORK.logits, spec=four), output=NETWORK.logits(PIXELS)
    )

    def of_bytes(x):
        return NETWORK.logits(tf.cast(x, tf.float32) / 255)

    spec = [tf.TensorSpec(SIZE, tf.uint8)]
    report.open("bytes", save(folder / "bytes", of_bytes, spec=spec), output=NETWORK.logits(PIXELS))
    spec = [tf.TensorSpec([None], tf.string)]
    report.open("texts", save(folder / "texts", tf.strings.length, spec=spec))
    spec = [tf.TensorSpec(SIZE, tf.float32, name) for name in ("a", "b")]

    def two(a, b):
        return NETWORK.logits(a + b)

    report.open("two", save(folder / "two", two, spec=spec))


def random_cases(folder, report):
    """Draw weights anew."""
    for case, seed in (("random:0", 0), ("random:0 again", 0), ("random:1", 1)):
        report.open(case, folder / "logits", f"weights=random:{seed}")
    black = np.zeros_like(IMAGES)
    report.open("random black", folder / "logits", "weights=random:0", images=black)
    report.open("random convolved", folder / "convolved", "weights=random:0")
    report.open(
        "norm", save(folder / "norm", NETWORK.plain_norm), output=NETWORK.plain_norm(PIXELS)
    )
    report.open("random shifted", save(folder / "shifted", NETWORK.shifted), "weights=random:0")
    report.open("random norm", folder / "norm", "weights=random:0")
    report.open("random nothing", save(folder / "identity", tf.identity), "weights=random:0")


def refused_cases(folder, report):
    """Open what must be refused."""
    report.open("not plain", folder / "logits", execution=Execution(1, precision="bfloat16"))
    report.open("halved", save(folder / "halved", NETWORK.halved))
    report.open("paired", save(folder / "paired", NETWORK.paired))
    report.open("rooted", save(folder / "rooted", NETWORK.rooted))
    report.open("unknown layer", folder / "logits", "layer=nothing")
    report.open("no linear layer", folder / "logits", f"layer={SCOPE}/Relu")
    report.open("wide", folder / "logits", f"layer={SCOPE}/Conv2D")
    report.open("maps", folder / "logits", f"head=none&layer={SCOPE}/Relu")
    report.open("table", save(folder / "table", NETWORK.counted))
    unfreezable = SimpleNamespace(structured_outputs={}, outputs=[None])
    loaded = SimpleNamespace(signatures={"default": unfreezable})
    with mock.patch.object(tf.saved_model, "load", return_value=loaded):
        report.open("unfreezable", folder / "logits")
    report.open("nothing", folder / "logits" / "variables")
    report.open("outer", folder)
    damaged = shutil.copytree(folder / "logits", folder / "damaged")
    (damaged / "saved_model.pb").write_bytes(b"\xff\xff")
    report.open("damaged", damaged)
    bare = shutil.copytree(folder / "logits", folder / "bare")
    shutil.rmtree(bare / "variables")
    report.open("bare", bare)
    tagged = shutil.copytree(folder / "module", folder / "tagged")
    (tagged / "tfhub_module.pb").unlink()
    report.open("tagged", tagged)


def main(folder):
    """Make the models and open them."""
    report = Report()
    for cases in (split_cases, signature_cases, input_cases, random_cases, refused_cases):
        cases(folder, report)
    np.savez(folder / "results.npz", **report.arrays)
    (folder / "said.json").write_text(json.dumps(report.said))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
