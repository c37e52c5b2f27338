"""TF-slim's Inception-v2 with random weights in TensorFlow, its checkpoints, and their conversion.

To be run in a process of its own, since TensorFlow takes seconds to import and warns:
`python slim_checkpoints.py FOLDER` writes checkpoints in both formats of TensorFlow 1, what
they are converted to, `expected.npz` (`images_S` (n, S, S, 3), `features_S`, `logits_S` by size S), and
`said.json`: by case, the kind of error and its message, or the summary.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf

from intertwine.encoders.checkpoints.convert import convert_checkpoint
from intertwine.errors import IntertwineError

RNG = np.random.default_rng(0)
SIZES = {224: 2, 97: 3}
# By block: what each branch does, a pooling by its letter, a convolution by width, kernel, stride.
BLOCKS = """
3b | 64 1 | 64 1, 64 3 | 64 1, 96 3, 96 3 | A, 32 1
3c | 64 1 | 64 1, 96 3 | 64 1, 96 3, 96 3 | A, 64 1
4a | 128 1, 160 3 2 | 64 1, 96 3, 96 3 2 | M
4b | 224 1 | 64 1, 96 3 | 96 1, 128 3, 128 3 | A, 128 1
4c | 192 1 | 96 1, 128 3 | 96 1, 128 3, 128 3 | A, 128 1
4d | 160 1 | 128 1, 160 3 | 128 1, 160 3, 160 3 | A, 96 1
4e | 96 1 | 128 1, 192 3 | 160 1, 192 3, 192 3 | A, 96 1
5a | 128 1, 192 3 2 | 192 1, 256 3, 256 3 2 | M
5b | 352 1 | 192 1, 320 3 | 160 1, 224 3, 224 3 | A, 128 1
5c | 352 1 | 192 1, 320 3 | 192 1, 224 3, 224 3 | X, 128 1
"""


class Network:
    """The network, its variables made where they are first used."""

    def __init__(self):
        self.variables = {}

    def variable(self, name, shape):
        """Return a weight around He's size, or a statistic that is not the usual start."""
        if name not in self.variables:
            if len(shape) == 4:
                fan_in = np.prod(shape[:2] if "depthwise" in name else shape[:3])
                value = RNG.standard_normal(shape) * np.sqrt(2 / fan_in)
            elif name.endswith("variance"):
                value = RNG.uniform(0.7, 1.3, shape)
            else:
                value = 0.2 * RNG.standard_normal(shape)
            self.variables[name] = tf.Variable(value.astype(np.float32))
        return self.variables[name]

    def conv(self, x, scope, width, kernel, stride=1):
        """Return convolution, normalisation and ReLU."""
        weights = self.variable(f"{scope}/weights", (kernel, kernel, x.shape[-1], width))
        x = tf.nn.conv2d(x, weights, stride, "SAME")
        names = ("moving_mean", "moving_variance", "beta")
        mean, variance, beta = (self.variable(f"{scope}/BatchNorm/{n}", (width,)) for n in names)
        return tf.nn.relu(tf.nn.batch_normalization(x, mean, variance, beta, None, 0.001))

    def block(self, x, scope, branches):
        """Return the branches of a block side by side."""
        outputs = []
        for index, branch in enumerate(branches.split("|")):
            y = x
            steps = [step.split() for step in branch.split(",")]
            strided = any(len(step) == 3 for step in steps)
            for letter, step in zip("abc", steps, strict=False):
                if step[0] == "A":
                    y = tf.nn.avg_pool2d(y, 3, 1, "SAME")
                elif step[0] in "MX":
                    y = tf.nn.max_pool2d(y, 3, 2 if step[0] == "M" else 1, "SAME")
                else:
                    width, kernel, *stride = map(int, step)
                    last = "1a" if strided and stride else f"0{letter}"
                    name = f"{scope}/Branch_{index}/Conv2d_{last}_{kernel}x{kernel}"
                    y = self.conv(y, name, width, kernel, *stride)
            outputs.append(y)
        return tf.concat(outputs, 3)

    def __call__(self, x):
        """Return features and logits."""
        stem = "InceptionV2/Conv2d_1a_7x7"
        depthwise = self.variable(f"{stem}/depthwise_weights", (7, 7, 3, 8))
        pointwise = self.variable(f"{stem}/pointwise_weights", (1, 1, 24, 64))
        x = tf.nn.separable_conv2d(x, depthwise, pointwise, [1, 2, 2, 1], "SAME")
        x = tf.nn.relu(x + self.variable(f"{stem}/biases", (64,)))
        x = tf.nn.max_pool2d(x, 3, 2, "SAME")
        x = self.conv(x, "InceptionV2/Conv2d_2b_1x1", 64, 1)
        x = self.conv(x, "InceptionV2/Conv2d_2c_3x3", 192, 3)
        x = tf.nn.max_pool2d(x, 3, 2, "SAME")
        for line in BLOCKS.strip().splitlines():
            name, _, branches = line.partition(" | ")
            x = self.block(x, f"InceptionV2/Mixed_{name}", branches)
        features = tf.reduce_mean(x, [1, 2], keepdims=True)
        scope = "InceptionV2/Logits/Conv2d_1c_1x1"
        weights = self.variable(f"{scope}/weights", (1, 1, 1024, 1001))
        logits = tf.nn.conv2d(features, weights, 1, "SAME")
        logits += self.variable(f"{scope}/biases", (1001,))
        return tf.squeeze(features, [1, 2]), tf.squeeze(logits, [1, 2])


def save(values, path, version=tf.compat.v1.train.SaverDef.V2):
    """Write arrays as a checkpoint of TensorFlow 1."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        made = {
            name: tf.compat.v1.get_variable(name, initializer=tf.constant(value))
            for name, value in values.items()
        }
        session.run(tf.compat.v1.global_variables_initializer())
        saver = tf.compat.v1.train.Saver(made, write_version=version)
        saver.save(session, str(path), write_meta_graph=False)


def attempt(*arguments):
    """Return what a conversion says."""
    try:
        return {"summary": convert_checkpoint(*arguments, arch="inception-v2")}
    except IntertwineError as error:
        return {"error": type(error).__name__, "message": str(error)}


def main(folder):
    """Make the network and its checkpoints, convert them, and try what must be refused."""
    network, expected = Network(), {}
    for size, count in SIZES.items():
        images = RNG.uniform(-1, 1, (count, size, size, 3)).astype(np.float32)
        features, logits = network(tf.constant(images))
        expected |= {f"images_{size}": images, f"features_{size}": features.numpy()}
        expected[f"logits_{size}"] = logits.numpy()
    np.savez(folder / "expected.npz", **expected)
    values = {name: variable.numpy() for name, variable in network.variables.items()}
    biases = "InceptionV2/Conv2d_1a_7x7/biases"
    training = {"global_step": np.int64(3), "beta1_power": np.float32(0)}
    for slot in ("RMSProp", "RMSProp_1", "ExponentialMovingAverage"):
        training[f"{biases}/{slot}"] = values[biases]
    save(values, folder / "v1.ckpt", tf.compat.v1.train.SaverDef.V1)
    save(values | training, folder / "v2.ckpt")
    said = {
        name: attempt(folder / f"{name}.ckpt", folder / f"{name}.safetensors")
        for name in ("v1", "v2")
    }
    wrong, out = folder / "wrong.ckpt", folder / "out.safetensors"
    save({"InceptionV3/Conv2d_1a_3x3/weights": np.zeros((3, 3, 3, 32), np.float32)}, wrong)
    said["other network"] = attempt(wrong, out)
    save({biases: values[biases]}, wrong)
    said["part"] = attempt(wrong, out)
    (folder / "damaged.ckpt").write_bytes((folder / "v1.ckpt").read_bytes()[:1000])
    said["damaged"] = attempt(folder / "damaged.ckpt", out)
    said["variables"] = {"count": len(values), "numbers": sum(v.size for v in values.values())}
    (folder / "said.json").write_text(json.dumps(said))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
