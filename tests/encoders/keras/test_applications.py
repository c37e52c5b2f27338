"""Every network of keras.applications, with random weights, split at its head."""

from __future__ import annotations

import gc
import inspect

import numpy as np
import pytest
from tests.encoders.lazy import Lazy, lazy

from intertwine.encoders.keras.applications import application
from intertwine.encoders.keras.build import import_keras
from intertwine.encoders.keras.head import split_model
from intertwine.encoders.registry import open_encoder
from intertwine.encoders.uri import EncoderUri
from intertwine.encoders.weights import Weights

torch = lazy("torch")

keras = Lazy(lambda: import_keras("test"))
# One a kind of head: a fully connected layer or a 1×1 convolution behind a pool, behind dropout,
# behind a normalisation, or with flat positions after it.
SOME = (
    "ConvNeXtTiny",
    "DenseNet121",
    "EfficientNetB0",
    "MobileNet",
    "MobileNetV2",
    "MobileNetV3Small",
)
OTHERS = [
    "EfficientNetV2B0",
    "InceptionResNetV2",
    "InceptionV3",
    "NASNetLarge",
    "ResNet50",
    "ResNet50V2",
    "VGG16",
    "Xception",
]
# Wider or deeper networks of the same families: other sizes of the same layers, minutes in all.
LARGER = [
    "ConvNeXtBase",
    "ConvNeXtLarge",
    "ConvNeXtSmall",
    "ConvNeXtXLarge",
    "DenseNet169",
    "DenseNet201",
    "EfficientNetB1",
    "EfficientNetB2",
    "EfficientNetB3",
    "EfficientNetB4",
    "EfficientNetB5",
    "EfficientNetB6",
    "EfficientNetB7",
    "EfficientNetV2B1",
    "EfficientNetV2B2",
    "EfficientNetV2B3",
    "EfficientNetV2L",
    "EfficientNetV2M",
    "EfficientNetV2S",
    "MobileNetV3Large",
    "ResNet101",
    "ResNet152",
    "ResNet101V2",
    "ResNet152V2",
    "VGG19",
]
# One that Keras itself does not make on torch.
BROKEN = "NASNetMobile"
# The smallest that they take; VGG's head reads positions.
SIZES = {"VGG16": 224, "InceptionV3": 75, "InceptionResNetV2": 75, "Xception": 71}


@pytest.mark.slow
def test_every_application():
    """No network of keras.applications is left out."""
    names = [
        name
        for name, value in vars(keras.applications).items()
        if name[0].isupper() and inspect.isfunction(value)
    ]
    assert sorted(names) == sorted([*SOME, *OTHERS, *LARGER, BROKEN])


@pytest.mark.quick("MobileNetV2")
@pytest.mark.parametrize(
    "name", [*SOME, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)]
)
def test_head_of_features_is_the_network(name):
    """head(features) of a network of keras.applications is its own logits within 1e-4."""
    size = SIZES.get(name, 32)
    uri = EncoderUri("keras", name, {"crop": str(size)}, named=True)
    model = application(keras, uri, Weights(seed=0))
    rng = np.random.default_rng(0)
    images = rng.uniform(-1, 1, (2, size, size, 3)).astype(np.float32)
    split = split_model(keras, model, uri, images)
    with torch.inference_mode():
        features = split.forward(torch.from_numpy(images)).numpy()
        want = model(torch.from_numpy(images), training=False).numpy()
    own = split.head.logits(features)
    assert features.shape == (2, split.head.dim)
    assert np.abs(own - want).max() <= 1e-4 * np.abs(want).max()
    assert want.shape == (2, 1000)
    assert np.ptp(want) > 0
    assert model.count_params() == sum(int(np.prod(weight.shape)) for weight in model.weights)
    del model, split
    gc.collect()


@pytest.mark.quick("MobileNetV3Small")
@pytest.mark.parametrize("name", ["MobileNetV3Small", "MobileNetV3Large"])
def test_open_size(name):
    """A network that leaves its size open reads 224 pixels unless another size is given."""
    assert open_encoder(f"keras:{name}?weights=random:0&alpha=0.75").image_size == (224, 224)
    small = open_encoder(f"keras:{name}?weights=random:0&alpha=0.75&crop=64")
    assert small.image_size == (64, 64)
