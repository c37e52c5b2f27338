"""Keras weights of a ResNet-50 that was converted to a TensorFlow.js layers model by Keras 2.

    python scripts/tfjs_to_keras.py FOLDER OUT.weights.h5

FOLDER holds `model.json` and its shards, float32. The weights then open with
`keras:ResNet50?weights=OUT.weights.h5`.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import numpy as np

os.environ["KERAS_BACKEND"] = "torch"
# Names in Keras 2 of the shortcut and the three convolutions of a block.
BRANCHES = {"1": "0", "2a": "1", "2b": "2", "2c": "3"}
KINDS = {"res": "conv", "bn": "bn"}
ENDS = {"conv1": "conv1_conv", "bn_conv1": "conv1_bn", "fc1000": "predictions"}


def read_arrays(folder: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a layers model by name, as its manifest lists them."""
    arrays = {}
    for group in json.loads((folder / "model.json").read_text())["weightsManifest"]:
        data = b"".join((folder / path).read_bytes() for path in group["paths"])
        offset = 0
        for weight in group["weights"]:
            if weight["dtype"] != "float32" or "quantization" in weight:
                sys.exit(f"{weight['name']} is {weight['dtype']} or quantised, expected float32")
            count = int(np.prod(weight["shape"]))
            array = np.frombuffer(data, "<f4", count, offset)
            arrays[weight["name"]] = array.reshape(weight["shape"])
            offset += 4 * count
        if offset != len(data):
            sys.exit(f"the shards hold {len(data)} bytes, the manifest lists {offset}")
    return arrays


def epsilons(folder: Path) -> dict[str, float]:
    """Return what each batch normalisation adds to its variance, by layer."""
    topology = json.loads((folder / "model.json").read_text())["modelTopology"]
    layers = topology["model_config"]["config"]["layers"]
    return {one["name"]: one["config"]["epsilon"] for one in layers if "epsilon" in one["config"]}


def new_name(layer: str) -> str:
    """Return what Keras 3 calls a layer: `conv3_block1_0_bn` for `bn3a_branch1`."""
    if layer in ENDS:
        return ENDS[layer]
    kind, stage, block, branch = re.fullmatch(r"(res|bn)(\d)([a-f])_branch(\w+)", layer).groups()
    return f"conv{stage}_block{'abcdef'.index(block) + 1}_{BRANCHES[branch]}_{KINDS[kind]}"


def main(folder: Path, out: Path) -> None:
    """Fill a ResNet-50 with the arrays of a folder, every one of them, and save its weights."""
    import keras

    model = keras.applications.ResNet50(weights=None)
    wanted = {weight.path: weight for weight in model.weights}
    added = epsilons(folder)
    for name, array in read_arrays(folder).items():
        layer, kind = name.split("/")
        value = array
        if kind == "moving_variance":
            # The two versions add different numbers to the variance; the difference goes into it.
            value = array + np.float32(added[layer] - model.get_layer(new_name(layer)).epsilon)
        wanted.pop(f"{new_name(layer)}/{kind}").assign(value)
    if wanted:
        sys.exit(f"{len(wanted)} weights are missing: {', '.join(wanted)}")
    model.save_weights(out)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
