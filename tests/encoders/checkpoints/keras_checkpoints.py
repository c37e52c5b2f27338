"""Keras networks with random weights, their checkpoints, and what converting them says.

To be run in a process of its own, since TensorFlow takes seconds to import and warns:
`python keras_checkpoints.py FOLDER` writes for each architecture `ARCH.safetensors` and `ARCH.npz`
(`images` (n, 112, 112, 3), `features` (n, 512) as Keras computes them), and `said.json`: by case, the
kind of error and its message, or the summary.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf
import tf_keras as keras

from intertwine.encoders.checkpoints.convert import convert_checkpoint
from intertwine.errors import IntertwineError

BACKBONES = {"mobilenet-v2": "MobileNetV2", "resnet-50": "ResNet50"}
RNG = np.random.default_rng(0)


class Classifier(keras.layers.Layer):
    """A stand-in for the classifier of the training identities."""

    def build(self, shapes):
        """Make its one weight, called as in the project."""
        self.w = self.add_weight("weights", shape=[int(shapes[0][-1]), 3])

    def call(self, inputs):
        """Return logits of the features; the labels would give the margin."""
        return inputs[0] @ self.w


def embedding(arch, dim=512):
    """Return the network that the project evaluates, with fresh weights."""
    images = keras.Input([112, 112, 3], name="input_image")
    backbone = getattr(keras.applications, BACKBONES[arch])
    top = backbone(input_shape=(112, 112, 3), include_top=False, weights=None)(images)
    inner = x = keras.Input(top.shape[1:])
    for layer in (
        keras.layers.BatchNormalization(),
        keras.layers.Dropout(0.5),
        keras.layers.Flatten(),
        keras.layers.Dense(dim),
        keras.layers.BatchNormalization(),
    ):
        x = layer(x)
    return keras.Model(images, keras.Model(inner, x, name="OutputLayer")(top))


def in_training(network):
    """Return the network as it is saved in training: classifier, optimiser and all."""
    labels = keras.Input([], name="label")
    whole = keras.Model((network.inputs[0], labels), Classifier()((network.outputs[0], labels)))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    whole.compile(keras.optimizers.legacy.SGD(0.01, momentum=0.9, nesterov=True), loss)
    whole.train_on_batch((np.zeros((2, 112, 112, 3)), np.zeros(2)), np.zeros(2))
    return whole


def randomise(network, images):
    """Draw every weight and statistic, and scale the last normalisation to features around 1."""
    for weight in network.weights:
        shape, kind = weight.shape, weight.name.rpartition("/")[2]
        if kind.startswith(("kernel", "depthwise_kernel")):
            fan_in = np.prod(shape[:2] if kind.startswith("depth") else shape[:-1])
            value = RNG.standard_normal(shape) * np.sqrt(2 / fan_in)
        elif kind.startswith(("gamma", "moving_variance")):
            value = RNG.uniform(0.7, 1.3, shape)
        else:
            value = 0.3 * RNG.standard_normal(shape)
        weight.assign(value.astype(np.float32))
    scale = np.square(network(images, training=False)).mean()
    last = network.layers[-1].layers[-1]
    last.moving_variance.assign(last.moving_variance * scale)


def attempt(*arguments, **options):
    """Return what a conversion says."""
    try:
        return {"summary": convert_checkpoint(*arguments, **options)}
    except IntertwineError as error:
        return {"error": type(error).__name__, "message": str(error)}


def damage(prefix, copy):
    """Copy a checkpoint and cut its index short."""
    for file in prefix.parent.glob(f"{prefix.name}.*"):
        shutil.copy(file, f"{copy}{file.name.removeprefix(prefix.name)}")
    index = Path(f"{copy}.index")
    index.write_bytes(index.read_bytes()[:-40])
    return copy


def main(folder):
    """Make the networks, convert them, and try what must be refused."""
    said = {}
    images = RNG.uniform(0, 1, (3, 112, 112, 3)).astype(np.float32)
    for arch in BACKBONES:
        network = embedding(arch)
        saved = in_training(network) if arch == "mobilenet-v2" else network
        randomise(network, images)
        prefix = folder / arch / "e_1_b_2.ckpt"
        saved.save_weights(prefix)
        np.savez(folder / arch, images=images, features=network(images, training=False))
        said[arch] = attempt(prefix, folder / f"{arch}.safetensors", arch=arch)
    mobile, out = folder / "mobilenet-v2" / "e_1_b_2.ckpt", folder / "out.safetensors"
    said["folder"] = attempt(mobile.parent, out, arch="mobilenet-v2")
    said["other architecture"] = attempt(mobile, out, arch="resnet-50")
    embedding("mobilenet-v2", dim=64).save_weights(folder / "narrow.ckpt")
    said["narrow"] = attempt(folder / "narrow.ckpt", out, arch="mobilenet-v2")
    keras.Sequential([keras.layers.Dense(2, input_shape=(3,))]).save_weights(folder / "small.ckpt")
    said["small"] = attempt(folder / "small.ckpt.index", out, arch="mobilenet-v2")
    said["damaged"] = attempt(damage(mobile, folder / "damaged"), out, arch="mobilenet-v2")
    tf.raw_ops.SaveV2(
        prefix=str(folder / "plain"), tensor_names=["a"], shape_and_slices=[""], tensors=[[1.0]]
    )
    said["plain"] = attempt(folder / "plain", out, arch="mobilenet-v2")
    (folder / "said.json").write_text(json.dumps(said))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
