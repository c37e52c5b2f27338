"""Encoders from Keras 3 on its torch backend: `keras.applications`, and saved models.

`keras:NAME?OPTIONS` for a network of `keras.applications`, such as `keras:ResNet50`;
`keras:FILE.keras?OPTIONS` for a saved model, whose code, if it holds any, is never run.

weights=FILE        `.weights.h5`, a `.h5` as keras.applications fetches, or `.keras`
weights=random:SEED the same architecture with fresh weights
alpha=NUMBER        width of MobileNet, MobileNetV2 and MobileNetV3
crop=PIXELS         any input size of a named network; its weights are those of its own size
layer=NAME          split at this layer instead
head=none           no head; the features are the output, or with `layer` that layer's, its mean
                    over positions where it has several
background=drop     leave out class 0 of the head

A named network is given pixels as its own `preprocess_input` makes them. Keras publishes no
resizing for evaluation: its shorter side is resized and the centre cut out (`resize=centre`), as
the published figures of most of them were measured. A saved model is given the pixels 0 … 255 of
the whole image, unless the URI says more.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from intertwine.encoders.keras.applications import application, pixel_options
from intertwine.encoders.keras.build import import_keras, saved_model
from intertwine.encoders.keras.head import split_model
from intertwine.encoders.keras.weights import sha256_model
from intertwine.encoders.torch.encoder import module_encoder, preprocessing
from intertwine.encoders.weights import asked_weights
from intertwine.errors import InputError
from intertwine.storage.files import sha256_file
from intertwine.wording import named

if TYPE_CHECKING:
    from intertwine.encoders.encoder import Encoder
    from intertwine.encoders.execution import Execution
    from intertwine.encoders.uri import EncoderUri
    from intertwine.encoders.weights import Weights


# Of the networks that leave it open, MobileNetV3: what they were trained at.
OPEN_SIZE = "224"


def open_uri(uri: EncoderUri, execution: Execution) -> Encoder:
    """Open a Keras network; see `intertwine.encoders.registry.open_encoder`."""
    keras = import_keras(uri.where)
    asked = asked_weights(uri)
    if uri.named:
        model = application(keras, uri, asked)
        defaults = {"resize": "centre", **pixel_options(keras, uri)}
    else:
        model, defaults = saved_model(keras, uri, asked), {}
    layout, fixed = _image(model, uri)
    if uri.named and fixed is None:
        defaults = {"crop": OPEN_SIZE, **defaults}
    prepared = replace(preprocessing(uri, defaults=defaults, fixed=fixed), layout=layout)
    encoder = module_encoder(
        uri,
        model,
        execution,
        preprocessing=prepared,
        split=split_model(keras, model, uri, prepared.apply(prepared.noise(2))),
        weights_sha256=_sha256(model, uri, asked),
    )
    # Torch counts the seeds of dropout too.
    return replace(encoder, parameters=model.count_params())


def _sha256(model: Any, uri: EncoderUri, asked: Weights) -> str:
    """Return the SHA-256 of the file of the weights, or over them where no file is named."""
    if asked.seed is not None or (uri.named and asked.file is None):
        return sha256_model(model)
    return sha256_file(asked.file or uri.path)


def _image(model: Any, uri: EncoderUri) -> tuple[str, tuple[int, int] | None]:
    """Return the axis order of a model's input, and the size it fixes, if it does."""
    shapes = [tuple(tensor.shape) for tensor in model.inputs]
    layouts = [
        layout
        for shape in shapes
        for layout, axis in (("nhwc", 3), ("nchw", 1))
        if len(shape) == 4 and shape[axis] == 3
    ]
    if len(shapes) != 1 or not layouts:
        raise InputError(
            f"{uri.where}: its inputs have shapes {named(shapes)}, expected one of images (n, h, w, 3)"
        )
    height, width = shapes[0][1:3] if layouts[0] == "nhwc" else shapes[0][2:]
    return layouts[0], (height, width) if height and width else None
