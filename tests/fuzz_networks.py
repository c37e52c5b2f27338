"""Files of networks and saved datasets: good ones, readings of them, and damage beneath a checksum."""

from __future__ import annotations

import contextlib
import io
import json
import os
import struct
import warnings
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import random
    from collections.abc import Callable
    from pathlib import Path

# What hubs would be asked for is refused, as on a machine without a network.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("KERAS_BACKEND", "torch")
K, D, SIDE = 3, 4, 32
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "cat", "sleeps"]
WIDTHS = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
WIDTHS |= {"intermediate_size": 24}


def tflite(folder: Path) -> Path:
    """Write a network of 8-bit numbers with a head."""
    from encoders.conftest import TfliteFile

    rng = np.random.default_rng(5)
    weight = rng.integers(-127, 127, (K, 12)).astype(np.int8)
    file = TfliteFile().tensor("image", (1, 2, 2, 3), "int8", scale=1.0, zero=-128)
    file.constant("shape", np.int32([1, 12]))
    file.tensor("flat", (1, 12), "int8", scale=1.0, zero=-128)
    file.constant("w", weight, scale=0.01).constant("b", np.zeros(K, np.int32), scale=0.01)
    file.tensor("logits", (1, K), "int8", scale=2.0)
    file.tensor("out", (1, K), "int8", scale=1 / 256, zero=-128)
    file.operator("RESHAPE", "image shape", "flat")
    file.operator("FULLY_CONNECTED", "flat w b", "logits", "FullyConnectedOptions")
    file.operator("SOFTMAX", "logits", "out", "SoftmaxOptions", beta=1.0)
    return file.save(folder / "x.tflite", "image", "out")


def float_tflite(folder: Path) -> Path:
    """Write a network of float numbers with a convolution and a head."""
    from encoders.conftest import TfliteFile

    rng = np.random.default_rng(6)
    file = TfliteFile().tensor("image", (1, 4, 4, 3)).tensor("map", (1, 2, 2, D))
    file.constant("k", rng.standard_normal((D, 3, 3, 3)).astype(np.float32))
    file.constant("c", np.zeros(D, np.float32))
    file.constant("shape", np.int32([1, 4 * D])).tensor("flat", (1, 4 * D))
    file.constant("w", rng.standard_normal((K, 4 * D)).astype(np.float32))
    file.tensor("out", (1, K))
    file.operator("CONV_2D", "image k c", "map", "Conv2DOptions", strideW=2, strideH=2)
    file.operator("RESHAPE", "map shape", "flat")
    file.operator("FULLY_CONNECTED", "flat w none", "out", "FullyConnectedOptions")
    return file.save(folder / "x.tflite", "image", "out")


def keras(suffix: str) -> Callable[[Path], Path]:
    """Return what writes a network of Keras."""

    def make(folder: Path) -> Path:
        from intertwine.encoders.keras.build import import_keras

        library: Any = import_keras("fuzz")
        layers = library.layers
        model = library.Sequential(
            [
                library.Input((8, 8, 3)),
                layers.Conv2D(D, 3, activation="relu"),
                layers.BatchNormalization(),
                layers.GlobalAveragePooling2D(),
                layers.Dense(K, activation="softmax"),
            ]
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.save(folder / f"x{suffix}")
        return folder / f"x{suffix}"

    return make


def hub_folder(name: str) -> Callable[[Path], Path]:
    """Return what writes an image network of transformers and names one of its files."""

    def make(folder: Path) -> Path:
        import torch
        import transformers

        torch.manual_seed(0)
        labels = {str(i): f"class {i}" for i in range(K)}
        config = transformers.ViTConfig(**WIDTHS, image_size=SIDE, patch_size=16, id2label=labels)
        transformers.ViTForImageClassification(config).save_pretrained(folder / "net")
        size = {"height": SIDE, "width": SIDE}
        transformers.ViTImageProcessorPil(size=size).save_pretrained(folder / "net")
        return folder / "net" / name

    return make


def text_folder(name: str) -> Callable[[Path], Path]:
    """Return what writes a network of sentence-transformers and names one of its files."""

    def make(folder: Path) -> Path:
        import torch
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.base.modules import Normalize, Transformer
        from sentence_transformers.sentence_transformer.modules import Pooling
        from transformers import BertConfig, BertModel, BertTokenizerFast

        (folder / "vocab.txt").write_text("\n".join(WORDS))
        BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder / "bert")
        torch.manual_seed(0)
        config = BertConfig(**WIDTHS, vocab_size=len(WORDS), max_position_embeddings=12)
        BertModel(config).save_pretrained(folder / "bert")
        parts = [Transformer(str(folder / "bert")), Pooling(16, "mean"), Normalize()]
        model = SentenceTransformer(modules=parts, prompts={"query": "a "}, device="cpu")
        model.save(str(folder / "net"), create_model_card=False)
        return folder / "net" / name

    return make


def dataset(name: str) -> Callable[[Path], Path]:
    """Return what saves a dataset of images, labels and texts, and names one of its files."""

    def make(folder: Path) -> Path:
        import datasets
        from PIL import Image

        datasets.disable_progress_bars()
        rng = np.random.default_rng(7)
        pictures = [Image.fromarray(rng.integers(0, 255, (5, 4, 3), np.uint8)) for _ in range(6)]
        columns = {"image": pictures, "label": [0, 1] * 3, "text": [f"text {i}" for i in range(6)]}
        features = {"image": datasets.Image(), "text": datasets.Value("string")}
        features["label"] = datasets.ClassLabel(names=["cat", "dog"])
        made = datasets.Dataset.from_dict(columns, datasets.Features(features))
        made.save_to_disk(folder / "saved")
        return folder / "saved" / name

    return make


def opened(scheme: str, *, folder: bool = False) -> Callable[[Path], object]:
    """Return what opens a file, or the folder that it lies in, as an encoder and runs it."""

    def read(path: Path) -> object:
        from intertwine.encoders.registry import open_encoder

        network = path
        if folder:
            network = next(each for each in path.parents if each.name == "net")
        encoder = open_encoder(f"{scheme}:{network}")
        if encoder.reads == "texts":
            return encoder.encode(["a cat", "sleeps"])
        blank = np.zeros((2, *encoder.image_size, 3), np.uint8)
        return encoder.encode(blank)

    return read


def read_dataset(path: Path) -> object:
    """Read a saved dataset as a list of images and as a list of texts."""
    from intertwine.errors import IntertwineError
    from intertwine.inputs.images.decode import decode
    from intertwine.inputs.images.listing import list_images
    from intertwine.inputs.texts.listing import list_texts

    texts = list_texts(path.parent)
    texts.texts(range(len(texts)))
    listed = list_images(path.parent)
    for row in range(len(listed)):
        with contextlib.suppress(IntertwineError):
            np.asarray(decode(listed.open(row), name=listed.name(row)))
    return listed.labels


def in_archive(path: Path, rng: random.Random) -> None:
    """Damage the settings or the weights inside an archive, whose checksums then fit again."""
    from fuzz import damaged_bytes, damaged_value

    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    name = "config.json" if rng.random() < 0.75 else rng.choice(sorted(parts))
    parts[name] = (
        _json(damaged_value(json.loads(parts[name]), rng))
        if name.endswith(".json")
        else damaged_bytes(parts[name], rng)
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for each, data in parts.items():
            archive.writestr(each, data)
    path.write_bytes(buffer.getvalue())


def in_header(path: Path, rng: random.Random) -> None:
    """Damage the header of a file of tensors, whose length then fits again, or any of its bytes."""
    from fuzz import damaged_bytes, damaged_value

    data = path.read_bytes()
    if rng.random() < 0.3:
        path.write_bytes(damaged_bytes(data, rng))
        return
    (length,) = struct.unpack("<Q", data[:8])
    header = _json(damaged_value(json.loads(data[8 : 8 + length]), rng))
    path.write_bytes(struct.pack("<Q", len(header)) + header + data[8 + length :])


def in_attributes(path: Path, rng: random.Random) -> None:
    """Damage the settings of layers in an HDF5 file, or any of its bytes."""
    import h5py

    from fuzz import damaged_bytes, damaged_value

    if rng.random() < 0.4:
        path.write_bytes(damaged_bytes(path.read_bytes(), rng))
        return
    with h5py.File(path, "r+") as file:
        value = damaged_value(json.loads(file.attrs["model_config"]), rng)
        file.attrs["model_config"] = np.bytes_(_json(value).replace(b"\0", b" ") or b" ")


def _json(value: Any) -> bytes:
    return json.dumps(value).encode("utf-8", "surrogatepass")
